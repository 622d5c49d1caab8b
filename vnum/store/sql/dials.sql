-- Calls that merchants order, and what switches tell of calls while they run.

-- name: order_in_turn
-- Orders of one merchant wait for one another: the one that is too many sees the others. $1 merchant.
SELECT pg_advisory_xact_lock(hashtextextended('dial ' || $1, 0));

-- name: ordered_since
-- How many a merchant ordered since $2, and when the oldest of those was. $1 merchant.
SELECT count(*) AS orders, min(ordered_at) AS oldest FROM dials WHERE merchant_id = $1 AND ordered_at > $2;

-- name: order
-- $1 cell, $2 call id, $3 merchant, $4 order, $5 binding, $6 host, $7 extension, $8 key id, $9 agent's phone, sealed,
-- $10 its hash, $11 by whom, $12 when, $13 until when it is to be taken.
INSERT INTO dials (cell, call_id, merchant_id, order_id, binding_id, host, extension, key_id, agent, agent_hash, state,
                   ordered_by, ordered_at, take_by, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12, $13, $12);

-- name: ring
-- Wakes whoever waits for orders in this schema, at the commit.
SELECT pg_notify('vnum_dials', current_schema()::text);

-- name: take
-- Hands out the oldest that wait, each once; those again of which nothing was heard since $3, unless the call was let
-- through or recorded meanwhile: the agent has been rung. Two switches at once get different ones. $1 cell, $2 now,
-- $4 to whom, $5 how many.
WITH due AS (
    SELECT d.cell, d.call_id FROM dials d
    WHERE d.cell = $1 AND NOT d.recorded AND d.take_by > $2 AND d.agent IS NOT NULL
      AND (d.state = 'queued' OR (d.state = 'taken' AND d.taken_at <= $3))
      AND NOT EXISTS (SELECT FROM call_keys k WHERE k.cell = $1 AND k.call_id = d.call_id)
    ORDER BY d.ordered_at, d.call_id LIMIT $5 FOR UPDATE SKIP LOCKED
)
UPDATE dials d SET state = 'taken', taken_by = $4, taken_at = $2, changed_at = $2
FROM due WHERE d.cell = due.cell AND d.call_id = due.call_id
RETURNING d.call_id, d.host, d.extension, d.agent, d.key_id, d.ordered_at;

-- name: give_up
-- Orders that nobody took in time, or whose switch fell silent, without a record: they failed. $1 cell, $2 now, $3 the
-- last instant at which one may have been taken without a word since, $4 the same of the last word, $5 and $6 the codes
-- of the two.
UPDATE dials d
SET state = 'failed', code = CASE WHEN d.state IN ('queued', 'taken') THEN $5 ELSE $6 END, changed_at = $2,
    agent = NULL, agent_hash = NULL
WHERE d.cell = $1 AND NOT d.recorded
  AND ((d.state = 'queued' AND d.take_by <= $2) OR (d.state = 'taken' AND d.take_by <= $2 AND d.taken_at <= $3)
       OR (d.state IN ('ringing_agent', 'collecting', 'ringing') AND d.changed_at <= $4))
  AND NOT EXISTS (SELECT FROM call_keys k WHERE k.cell = $1 AND k.call_id = d.call_id AND k.content IS NOT NULL)
RETURNING d.code;

-- name: settle
-- Those whose records have come. $1 cell, $2 ordered since then.
UPDATE dials d SET recorded = true, agent = NULL, agent_hash = NULL
WHERE d.cell = $1 AND NOT d.recorded AND d.ordered_at > $2
  AND EXISTS (SELECT FROM call_keys k WHERE k.cell = $1 AND k.call_id = d.call_id AND k.content IS NOT NULL);

-- name: tell
-- What a switch tells of calls, each state once. An ordered call goes forward by it and never back; why one failed says
-- the refusal of its call, if there was one. Comes back: what was new, and what the state of an order became.
-- $1 cells, $2 call ids, $3 states, $4 instants, $5 now, $6 the code of other failures.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], $4::timestamptz[])
                  WITH ORDINALITY AS i (cell, call_id, state, at, n)
), told AS (
    INSERT INTO call_states (cell, call_id, state, at)
    SELECT DISTINCT ON (cell, call_id, state) cell, call_id, state, at FROM item ORDER BY cell, call_id, state, n
    ON CONFLICT DO NOTHING RETURNING cell, call_id, state
), furthest AS (
    SELECT DISTINCT ON (cell, call_id) * FROM item ORDER BY cell, call_id, call_rank(state) DESC, n
), moved AS (
    UPDATE dials d
    SET state = f.state, changed_at = $5,
        code = CASE WHEN f.state = 'failed' THEN coalesce(
                   (SELECT a.code FROM call_attempts a WHERE a.call_id = d.call_id ORDER BY a.at DESC LIMIT 1), $6) END,
        agent = CASE WHEN f.state IN ('ended', 'failed') THEN NULL ELSE d.agent END,
        agent_hash = CASE WHEN f.state IN ('ended', 'failed') THEN NULL ELSE d.agent_hash END
    FROM furthest f
    WHERE d.cell = f.cell AND d.call_id = f.call_id AND call_rank(f.state) > call_rank(d.state)
    RETURNING d.cell, d.call_id, d.state, d.code
)
SELECT t.call_id, t.state, m.state AS moved, m.code
FROM told t LEFT JOIN moved m ON m.cell = t.cell AND m.call_id = t.call_id AND m.state = t.state;

-- name: page
-- A merchant's that have no record, as far as is known. $1 merchant, $2 from, $3 to, $4 order or null, $5 and $6 the
-- instant and id after which to begin, $7 how many.
SELECT call_id, order_id, binding_id, host, extension, state, code, ordered_at, changed_at
FROM dials
WHERE merchant_id = $1 AND ordered_at >= greatest($2::timestamptz, $5::timestamptz) AND ordered_at < $3::timestamptz
  AND ($4::text IS NULL OR order_id = $4) AND (ordered_at, call_id) > ($5, $6::text) AND NOT recorded
ORDER BY ordered_at, call_id LIMIT $7::int;

-- name: one
-- $1 cell, $2 call id.
SELECT call_id, merchant_id, order_id, binding_id, host, extension, state, code, ordered_by, ordered_at, taken_at,
       changed_at
FROM dials WHERE cell = $1 AND call_id = $2;

-- name: states
-- $1 cell, $2 call id.
SELECT state, at FROM call_states WHERE cell = $1 AND call_id = $2 ORDER BY at, call_rank(state);

-- name: forget_agents
-- $1 ordered before.
UPDATE dials SET agent = NULL, agent_hash = NULL WHERE agent IS NOT NULL AND NOT recorded AND ordered_at < $1;

-- name: forget_dials
-- $1 ordered before.
DELETE FROM dials WHERE ordered_at < $1;

-- name: forget_states
-- $1 before.
DELETE FROM call_states WHERE at < $1;
