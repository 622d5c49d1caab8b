-- name: months
-- Every month (UTC) that has rows, or had, with what became of it and of its key.
SELECT m.month, k.made_at, k.destroyed_at, e.calls_emptied_at, e.bindings_emptied_at, e.dropped_at
FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'bindings'::regclass
      UNION SELECT month FROM ended_months
      UNION SELECT month FROM data_keys WHERE month IS NOT NULL) AS m
LEFT JOIN data_keys k ON k.month = m.month
LEFT JOIN ended_months e ON e.month = m.month
ORDER BY m.month;

-- name: binding_ends_after
-- Whether a binding of the ids in [$2, $3) ends after $4. $1 cell.
SELECT EXISTS (SELECT FROM bindings WHERE cell = $1 AND binding_id >= $2 AND binding_id < $3 AND ended_at > $4);

-- name: destroy_key
-- The wrapped bytes go, the row says when; of a month that never had a key the row says that it gets none. true = now,
-- not before. $1 month, $2 now, $3 master id.
INSERT INTO data_keys AS k (key_id, purpose, month, wrapped, master_id, made_at, destroyed_at)
SELECT n, 'month', $1::date, NULL, $3, $2::timestamptz, $2 FROM generate_series(1, 32767) AS n
WHERE NOT EXISTS (SELECT FROM data_keys o WHERE o.key_id = n) ORDER BY n LIMIT 1
ON CONFLICT (purpose, month) DO UPDATE SET wrapped = NULL, destroyed_at = excluded.destroyed_at
WHERE k.destroyed_at IS NULL
RETURNING true;

-- name: empty_bindings
-- Takes phone, hash and name out of the next bindings, and the hash out of their orders: the ids of those that were
-- looked at. $1 cell, $2 after this id, $3 before this one, $4 how many.
WITH due AS (
    SELECT b.binding_id, b.merchant_id, b.order_id FROM bindings b
    WHERE b.cell = $1 AND b.binding_id > $2 AND b.binding_id < $3 ORDER BY b.binding_id LIMIT $4
), ordered AS (
    UPDATE orders o SET recipient_hash = NULL FROM due
    WHERE o.cell = $1 AND o.merchant_id = due.merchant_id AND o.order_id = due.order_id
      AND o.binding_id = due.binding_id AND o.recipient_hash IS NOT NULL
), emptied AS (
    UPDATE bindings b SET recipient = NULL, recipient_hash = NULL, recipient_name = NULL FROM due
    WHERE b.cell = $1 AND b.binding_id = due.binding_id
      AND num_nonnulls(b.recipient, b.recipient_hash, b.recipient_name) > 0
)
SELECT binding_id FROM due;

-- name: empty_calls
-- Takes who rang out of the next calls: the keys of those that were looked at. $1 cell, $2 and $3 after this instant
-- and id, $4 before this instant, $5 how many.
WITH due AS (
    SELECT c.biz_at, c.call_id FROM calls c
    WHERE c.cell = $1 AND c.biz_at >= $2 AND (c.biz_at, c.call_id) > ($2, $3::text) AND c.biz_at < $4
    ORDER BY c.biz_at, c.call_id LIMIT $5
), emptied AS (
    UPDATE calls c SET caller = NULL, caller_hash = NULL FROM due
    WHERE c.cell = $1 AND c.biz_at = due.biz_at AND c.call_id = due.call_id
      AND num_nonnulls(c.caller, c.caller_hash) > 0
)
SELECT biz_at, call_id FROM due;

-- name: forget_contents
-- Of calls whose caller is forgotten: what their records were compared by names him too. $1 cells, $2 call ids.
UPDATE call_keys k SET content = '', caller_hash = NULL
FROM unnest($1::smallint[], $2::text[]) AS i (cell, call_id)
WHERE k.cell = i.cell AND k.call_id = i.call_id AND k.content <> '';

-- name: forget_routed
-- Who rang, of calls whose record never came: their bindings say when that was. $1 before this binding.
UPDATE call_keys SET caller_hash = NULL WHERE caller_hash IS NOT NULL AND binding_id < $1;

-- name: records_between
-- Reviews that still have a record, of ids in ($2, $3). $1 cell, $4 how many.
SELECT review_id, record, key_id FROM call_reviews
WHERE cell = $1 AND review_id > $2 AND review_id < $3 AND record IS NOT NULL ORDER BY review_id LIMIT $4;

-- name: forget_records
-- $1 cell, $2 review ids, $3 now, $4 who, $5 why.
SELECT forget_records($1, $2, $3, $4, $5);

-- name: calls_emptied
-- true = now, not before. $1 month, $2 now.
INSERT INTO ended_months AS e (month, calls_emptied_at) VALUES ($1, $2)
ON CONFLICT (month) DO UPDATE SET calls_emptied_at = excluded.calls_emptied_at WHERE e.calls_emptied_at IS NULL
RETURNING true;

-- name: bindings_emptied
-- true = now, not before. $1 month, $2 now.
INSERT INTO ended_months AS e (month, bindings_emptied_at) VALUES ($1, $2)
ON CONFLICT (month) DO UPDATE SET bindings_emptied_at = excluded.bindings_emptied_at
WHERE e.bindings_emptied_at IS NULL
RETURNING true;

-- name: drop_month
-- Not while the server's own clock says that it is too early, whatever a simulated one does. $1 month, $2 now.
SELECT $1::date <= clock_timestamp() - interval '397 days' AND drop_month($1::date, $2);

-- name: forget_logs
-- Prints, events of orders and changes of recipients: how many of each went. $1 cell, $2 before, $3 how many of each.
SELECT forget_logs($1, $2, $3);

-- name: forget_audit
-- The same of audit entries: how many were dropped. $1 cell, $2 before.
SELECT forget_audit($1, least($2::timestamptz, clock_timestamp() - interval '184 days'));
