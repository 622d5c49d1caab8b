-- name: hosts
SELECT host, cell, city, carrier, plan, ext_digits, ext_check, quarantine_days, max_live, state, revision
FROM hosts ORDER BY host;

-- name: host
SELECT host, cell, city, carrier, plan, ext_digits, ext_check, quarantine_days, max_live, state, revision
FROM hosts WHERE host = $1;

-- name: newest_revision
SELECT coalesce(max(revision), 0) FROM hosts;

-- name: hosts_by_cell
SELECT cell, count(*) AS hosts FROM hosts GROUP BY cell;

-- name: alone
-- Changes of hosts come one after the other, until their commit: revisions are seen in the order in which they are drawn.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.hosts', 0));

-- name: add_host
-- $1 host, $2 cell, $3 city, $4 carrier, $5 plan, $6 digits, $7 check, $8 quarantine days, $9 max live, $10 created_at.
INSERT INTO hosts (host, cell, city, carrier, plan, ext_digits, ext_check, quarantine_days, max_live, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', coalesce($10, clock_timestamp()))
ON CONFLICT (host) DO NOTHING
RETURNING host;

-- name: set_host_state
-- $1 host, $2 state, $3 the revision that it must still have, or null.
UPDATE hosts SET state = $2, revision = nextval('host_revisions')
WHERE host = $1 AND ($3::bigint IS NULL OR revision = $3)
RETURNING revision;

-- name: live_on_host
-- $1 cell, $2 host, $3 simulated now or null, $4 extensions that do not count.
SELECT count(*) FROM slots
WHERE cell = $1 AND host = $2 AND ended_at > coalesce($3, clock_timestamp()) AND extension <> ALL ($4::text[]);

-- name: held_on_host
-- Slots that may not be bound at $3, with the instant until when (infinity = never again); and those that one of
-- the orders $4 or recipients $5 held last. $1 cell, $2 host.
SELECT extension, held_until FROM slots
WHERE cell = $1 AND host = $2
  AND (held_until > $3 OR holder_order = ANY ($4::bigint[]) OR holder_recipient = ANY ($5::bigint[])
       OR holder_others && $5::bigint[]);

-- name: occupancy
-- Per host: live bindings, slots in quarantine, and bindings made in the week before. $1 simulated now or null.
SELECT h.host, h.cell, h.city, h.state, h.ext_digits, h.ext_check,
       count(s.host) FILTER (WHERE s.ended_at > t.now) AS bound,
       count(s.host) FILTER (WHERE s.ended_at <= t.now) AS quarantined,
       count(s.host) FILTER (WHERE s.binding_id >= first_id(t.now - interval '7 days')) AS bound_in_week
FROM (SELECT coalesce($1, clock_timestamp()) AS now) AS t
CROSS JOIN hosts h
LEFT JOIN slots s ON s.cell = h.cell AND s.host = h.host AND s.held_until > t.now
GROUP BY h.host, t.now ORDER BY h.city NULLS LAST, h.host;

-- name: use_of_hosts
-- What is bound and what is in quarantine, per host. $1 cell, $2 hosts, $3 now.
SELECT i.host, count(*) FILTER (WHERE s.ended_at > $3) AS live, count(*) FILTER (WHERE s.ended_at <= $3) AS quarantined
FROM unnest($2::text[]) AS i (host)
LEFT JOIN slots s ON s.cell = $1 AND s.host = i.host AND s.held_until > $3
GROUP BY i.host;
