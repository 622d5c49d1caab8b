-- Events that no other statement's effect writes: what time brings about, what a close made, and the pool's state.
-- (binding.released and call.ended are written by `release` and `file_records`.)

-- name: anyone
-- $1 event.
SELECT EXISTS (SELECT FROM webhooks w WHERE w.active AND w.deleted_at IS NULL AND $1 = ANY (w.events));

-- name: begin_sweep
-- $1 cell, $2 event, $3 now.
INSERT INTO webhook_sweeps (cell, event, swept_until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: lock_sweep
-- Up to when the ends were told; no row = another worker is at it. $1 cell, $2 event.
SELECT swept_until FROM webhook_sweeps WHERE cell = $1 AND event = $2 FOR UPDATE SKIP LOCKED;

-- name: by_index
-- For the rest of the transaction: no table is read from end to end, whatever it looked like when the plan was made.
SELECT set_config('enable_seqscan', 'off', true);

-- name: end_sweep
-- $1 cell, $2 event, $3 until.
UPDATE webhook_sweeps SET swept_until = $3 WHERE cell = $1 AND event = $2;

-- name: tell_ends
-- Files the event of each binding that ends in ($3, $4], unless it was released, or began no more than $5 before its
-- end. Only the index of ends is of use here: `IS TRUE` keeps the primary key out of it. $1 cell, $2 event, $6 now,
-- $7 code.
INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
SELECT b.cell, w.webhook_id, event_id(b.cell, $6, 0, $2 || b.binding_id || b.ended_at), b.merchant_id, $2, b.binding_id,
       $6, $6, binding_event(b.binding_id, b.merchant_id, b.order_id, b.host, b.extension,
                             may_read_number(w.role, o.order_status), b.bound_at, b.expires_at, b.ended_at, $7)
FROM bindings b
CROSS JOIN LATERAL listeners($2, b.merchant_id, $6) AS w
LEFT JOIN LATERAL (
    SELECT o.order_status FROM orders o
    WHERE o.cell = b.cell AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id LIMIT 1
) AS o ON true
WHERE (b.cell = $1) IS TRUE AND b.ended_at > $3 AND b.ended_at <= $4 AND b.release_reason IS NULL
  AND b.bound_at < b.ended_at - $5::interval
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: tell_short_ends
-- The same of lives of $5 and less, of which the $8th part begins to be left in ($3, $4]: those end within that part of
-- $5 behind $4.
INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
SELECT b.cell, w.webhook_id, event_id(b.cell, $6, 0, $2 || b.binding_id || b.ended_at), b.merchant_id, $2, b.binding_id,
       $6, $6, binding_event(b.binding_id, b.merchant_id, b.order_id, b.host, b.extension,
                             may_read_number(w.role, o.order_status), b.bound_at, b.expires_at, b.ended_at, $7)
FROM bindings b
CROSS JOIN LATERAL listeners($2, b.merchant_id, $6) AS w
LEFT JOIN LATERAL (
    SELECT o.order_status FROM orders o
    WHERE o.cell = b.cell AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id LIMIT 1
) AS o ON true
WHERE (b.cell = $1) IS TRUE AND b.ended_at > $3::timestamptz AND b.ended_at <= $4::timestamptz + $5::interval / $8::int
  AND b.release_reason IS NULL AND b.bound_at >= b.ended_at - $5::interval
  AND b.ended_at - (b.ended_at - b.bound_at) / $8::int > $3 AND b.ended_at - (b.ended_at - b.bound_at) / $8::int <= $4
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: tell_closes
-- $1 cell, $2 now, $3 invoice numbers, $4 merchants, $5 what is told of each.
INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
SELECT $1, w.webhook_id, event_id($1, $2, i.n, 'invoice.closed' || i.number), i.merchant_id, 'invoice.closed',
       i.merchant_id, $2, $2, i.data
FROM unnest($3::text[], $4::text[], $5::json[]) WITH ORDINALITY AS i (number, merchant_id, data, n)
CROSS JOIN LATERAL listeners('invoice.closed', i.merchant_id, $2) AS w
ON CONFLICT DO NOTHING;

-- name: pool_lows
SELECT subject FROM pool_lows;

-- name: note_lows
-- Those that were not low before. $1 subjects, $2 now.
INSERT INTO pool_lows (subject, since) SELECT i.subject, $2 FROM unnest($1::text[]) AS i (subject)
ON CONFLICT DO NOTHING RETURNING subject;

-- name: forget_lows
-- Those that are low no more. $1 subjects.
DELETE FROM pool_lows WHERE subject = ANY ($1::text[]);

-- name: tell_lows
-- To subscriptions of platforms only, whose merchants have no part in it. $1 cell, $2 now, $3 subjects, $4 what is told.
INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
SELECT $1, w.webhook_id, event_id($1, $2, i.n, 'pool.low' || i.subject), NULL, 'pool.low', i.subject, $2, $2, i.data
FROM unnest($3::text[], $4::json[]) WITH ORDINALITY AS i (subject, data, n)
CROSS JOIN LATERAL listeners('pool.low', NULL, $2) AS w
WHERE w.role = 'platform'
ON CONFLICT DO NOTHING;
