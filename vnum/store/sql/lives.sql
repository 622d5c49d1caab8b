-- What became of calls: one's whole life, and those that nobody reported.

-- name: key
-- What route decided of a call, and whether its record is there. $1 cell, $2 call id.
SELECT binding_id, content IS NOT NULL AS recorded, biz_at, routed_at, overdue_at, back
FROM call_keys WHERE cell = $1 AND call_id = $2;

-- name: tries
-- Its refused tries. $1 call id.
SELECT at, code, class, merchant_id, order_id FROM call_attempts WHERE call_id = $1 ORDER BY at LIMIT 100;

-- name: bindings
-- Whose bindings, and their numbers. $1 cells, $2 binding ids.
SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension
FROM unnest($1::smallint[], $2::uuid[]) AS i (cell, binding_id)
CROSS JOIN LATERAL (
    SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension
    FROM bindings b WHERE b.cell = i.cell AND b.binding_id = i.binding_id LIMIT 1
) AS b;

-- name: record
-- Its record as it was rated. $1 the host's cell, $2 when, $3 call id.
SELECT call_time, ring_time, answer_time, release_time, release_dir, release_cause, seconds, minutes, cost, late, biz_at
FROM calls WHERE cell = $1 AND biz_at = $2 AND call_id = $3;

-- name: not_taken
-- Records of it that were not taken, without their text. $1 cell, $2 call id.
SELECT received_at, status, code, state FROM call_reviews
WHERE cell = $1 AND call_id = $2 ORDER BY received_at LIMIT 100;

-- name: unrecorded
-- Connected calls whose record is overdue, the longest first. $1 now, $2 and $3 the instant and id after which to begin,
-- $4 how many.
SELECT call_id, binding_id, routed_at, overdue_at, back FROM call_keys
WHERE content IS NULL AND overdue_at IS NOT NULL AND overdue_at <= $1 AND (overdue_at, call_id) > ($2, $3::text)
ORDER BY overdue_at, call_id LIMIT $4::int;

-- name: count_unrecorded
-- $1 now, $2 no more than so many.
SELECT count(*) FROM (
    SELECT FROM call_keys WHERE content IS NULL AND overdue_at IS NOT NULL AND overdue_at <= $1 LIMIT $2::int
) AS k;
