-- Waiting until what began before now has ended. The views are readable by an unprivileged role.

-- name: running
-- The transactions in progress in this database, except this session's. Every transaction holds the lock on its virtual
-- transaction id from its very beginning, also before its first snapshot and without ever writing. Autovacuum has no
-- user and writes no usage.
SELECT l.virtualxid || ' of process ' || l.pid AS name
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted
  AND a.datname = current_database() AND a.usesysid IS NOT NULL
  AND l.pid <> pg_backend_pid()

-- name: prepared
-- The transactions prepared for two-phase commit; they have left their session.
SELECT 'prepared ' || gid AS name FROM pg_prepared_xacts WHERE database = current_database()
