-- Subscriptions, and what waits to be told to them.

-- name: add
-- $1 id, $2 merchant or null, $3 role, $4 made by, $5 url, $6 events, $7 secret (sealed), $8 now, $9 how many such
-- subscriptions there may be. No row = so many there are.
INSERT INTO webhooks (webhook_id, merchant_id, role, made_by, url, events, active, secret, created_at)
SELECT $1, $2, $3, $4, $5, $6, true, $7, $8
WHERE (SELECT count(*) FROM webhooks WHERE merchant_id IS NOT DISTINCT FROM $2 AND role = $3 AND deleted_at IS NULL) < $9
RETURNING webhook_id;

-- name: webhook
-- $1 id.
SELECT webhook_id, merchant_id, role, made_by, url, events, active, former_until, created_at
FROM webhooks WHERE webhook_id = $1 AND deleted_at IS NULL;

-- name: sending
-- What its deliveries need; no row = nothing is sent to it now. $1 id, $2 now.
SELECT webhook_id, role, url, secret, former_secret, former_until FROM webhooks_in_force
WHERE webhook_id = $1 AND (ends_at IS NULL OR ends_at > $2);

-- name: webhooks
-- By id. $1 merchants or null, $2 roles, $3 who made them or null, $4 the id after which to begin, $5 how many.
SELECT webhook_id, merchant_id, role, made_by, url, events, active, former_until, created_at
FROM webhooks
WHERE deleted_at IS NULL AND ($1::text[] IS NULL OR merchant_id = ANY ($1)) AND role = ANY ($2::text[])
  AND ($3::text IS NULL OR made_by = $3) AND webhook_id > $4
ORDER BY webhook_id LIMIT $5::int;

-- name: change
-- What is null stays. $1 id, $2 url, $3 events, $4 active.
UPDATE webhooks SET url = coalesce($2, url), events = coalesce($3, events), active = coalesce($4, active)
WHERE webhook_id = $1 AND deleted_at IS NULL;

-- name: rotate
-- $1 id, $2 secret (sealed), $3 until when the one of before signs too.
UPDATE webhooks SET former_secret = secret, former_until = $3, secret = $2
WHERE webhook_id = $1 AND deleted_at IS NULL;

-- name: delete
-- From now on it gets nothing; what waits goes with the next clearing. $1 id, $2 now.
UPDATE webhooks SET deleted_at = $2, active = false, secret = '', former_secret = NULL
WHERE webhook_id = $1 AND deleted_at IS NULL;

-- name: deliveries
-- By id. $1 webhook, $2 state, $3 the id after which to begin, $4 how many.
SELECT event_id, merchant_id, event, at, data, state, attempts, due_at, tried_at, failure
FROM webhook_deliveries WHERE webhook_id = $1 AND state = $2 AND event_id > $3 ORDER BY event_id LIMIT $4::int;

-- name: counts
-- How many deliveries of a webhook are in each state. $1 webhooks.
SELECT w.webhook_id, s.state, d.deliveries
FROM unnest($1::uuid[]) AS w (webhook_id) CROSS JOIN unnest('{waiting,dead}'::text[]) AS s (state)
CROSS JOIN LATERAL (SELECT count(*) AS deliveries FROM webhook_deliveries d
                    WHERE d.webhook_id = w.webhook_id AND d.state = s.state) AS d;

-- name: replay
-- One delivery, dead or delivered, from the beginning. $1 cell, $2 webhook, $3 event, $4 now.
UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, due_at = $4, failure = NULL
WHERE cell = $1 AND webhook_id = $2 AND event_id = $3
RETURNING event_id, merchant_id, event, at, data, state, attempts, due_at, tried_at, failure;

-- name: replay_dead
-- Some of the dead ones, the oldest first. $1 webhook, $2 now, $3 how many.
UPDATE webhook_deliveries d SET state = 'waiting', attempts = 0, due_at = $2, failure = NULL
FROM (SELECT cell, webhook_id, event_id FROM webhook_deliveries
      WHERE webhook_id = $1 AND state = 'dead' ORDER BY event_id LIMIT $3::int) AS few
WHERE d.cell = few.cell AND d.webhook_id = few.webhook_id AND d.event_id = few.event_id AND d.state = 'dead'
RETURNING d.event_id;

-- name: due_webhooks
-- Who has something due and nobody who delivers. $1 now.
SELECT w.webhook_id FROM webhooks_in_force w
LEFT JOIN webhook_lanes l ON l.webhook_id = w.webhook_id
WHERE (l.webhook_id IS NULL OR l.leased_until <= $1) AND (w.ends_at IS NULL OR w.ends_at > $1)
  AND EXISTS (SELECT FROM webhook_deliveries d
              WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting' AND d.due_at <= $1);

-- name: lease
-- No row = another worker delivers. $1 webhook, $2 lease, $3 until, $4 now.
INSERT INTO webhook_lanes AS l (webhook_id, lease, leased_until) VALUES ($1, $2, $3)
ON CONFLICT (webhook_id) DO UPDATE SET lease = excluded.lease, leased_until = excluded.leased_until
WHERE l.leased_until <= $4
RETURNING l.webhook_id;

-- name: renew
-- No row = the lease ran out, and another worker has one. $1 webhook, $2 lease, $3 until.
UPDATE webhook_lanes SET leased_until = $3 WHERE webhook_id = $1 AND lease = $2 RETURNING webhook_id;

-- name: hold_back
-- What is due behind an earlier event of its subject waits for as long as that one. $1 webhook, $2 now.
UPDATE webhook_deliveries d SET due_at = h.due_at
FROM webhook_deliveries h
WHERE d.webhook_id = $1 AND d.state = 'waiting' AND d.due_at <= $2
  AND h.webhook_id = $1 AND h.state = 'waiting' AND h.due_at > $2 AND h.subject = d.subject AND h.event_id < d.event_id;

-- name: due
-- What may be delivered now: of each subject the earliest that waits. $1 webhook, $2 now, $3 how many.
SELECT d.cell, d.event_id, d.event, d.subject, d.at, d.data, d.attempts FROM webhook_deliveries d
WHERE d.webhook_id = $1 AND d.state = 'waiting' AND d.due_at <= $2
  AND NOT EXISTS (SELECT FROM webhook_deliveries e
                  WHERE e.webhook_id = d.webhook_id AND e.subject = d.subject AND e.state = 'waiting'
                    AND e.event_id < d.event_id)
ORDER BY d.due_at, d.event_id LIMIT $3::int;

-- name: settle
-- What became of attempts. $1 webhook, $2 now; $3 cells, $4 events, $5 states, $6 due at, $7 failures.
UPDATE webhook_deliveries d
SET state = i.state, due_at = i.due_at, failure = i.failure, attempts = d.attempts + 1, tried_at = $2
FROM unnest($3::smallint[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
     AS i (cell, event_id, state, due_at, failure)
WHERE d.cell = i.cell AND d.webhook_id = $1 AND d.event_id = i.event_id AND d.state = 'waiting';

-- name: ids
-- Every subscription, also deleted ones.
SELECT webhook_id, deleted_at FROM webhooks;

-- name: clear
-- Forgets some deliveries of a state and of before an event id. $1 webhook, $2 state, $3 event id, $4 how many.
DELETE FROM webhook_deliveries d
USING (SELECT cell, webhook_id, event_id FROM webhook_deliveries
       WHERE webhook_id = $1 AND state = $2 AND event_id < $3 ORDER BY event_id LIMIT $4::int) AS few
WHERE d.cell = few.cell AND d.webhook_id = few.webhook_id AND d.event_id = few.event_id AND d.state = $2
RETURNING d.event_id;

-- name: clear_lane
-- $1 webhook.
DELETE FROM webhook_lanes WHERE webhook_id = $1;

-- name: clear_webhook
-- A deleted one whose deliveries are gone. $1 webhook.
DELETE FROM webhooks WHERE webhook_id = $1 AND deleted_at IS NOT NULL;
