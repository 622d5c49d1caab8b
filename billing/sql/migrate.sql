-- The migration runner.

-- name: lock
-- One migration of a schema at a time. $1 schema.
SELECT pg_advisory_lock(hashtextextended('migrate ' || $1::text, 0))

-- name: unlock
-- $1 schema.
SELECT pg_advisory_unlock(hashtextextended('migrate ' || $1::text, 0))

-- name: create_schema
-- The statement that makes the schema, quoted by the server. $1 schema.
SELECT format('CREATE SCHEMA IF NOT EXISTS %I', $1::text)

-- name: use_schema
-- For the rest of the session. $1 schema.
SELECT set_config('search_path', quote_ident($1::text), false)

-- name: create_migrations
-- What was applied, and the SHA-256 of it.
CREATE TABLE IF NOT EXISTS migrations (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: applied
-- All that were applied, of every package.
SELECT name, checksum FROM migrations

-- name: record
-- $1 name, $2 checksum; in the transaction of the migration.
INSERT INTO migrations (name, checksum) VALUES ($1, $2)
