-- What an invoice charged for single calls and bindings, for notes about them. $1 merchant.

-- name: calls
-- Calls $2 that were answered in the invoice's month, $3 to $4, and arrived in time.
SELECT merchant_id, order_id, binding_id, call_id, answered_at, released_at, seconds, minutes, units, unit_s, setup_fee,
       tariff_id, tariff_version, rate, cost AS amount
FROM usage_calls
WHERE merchant_id = $1 AND call_id = ANY ($2::text[])
  AND answered_at >= $3::timestamptz AND answered_at < $4::timestamptz AND NOT late

-- name: late_calls
-- Those of calls $2 that the invoice $3 took as adjustments.
SELECT * FROM invoice_adjustments WHERE merchant_id = $1 AND call_id = ANY ($2::text[]) AND invoice_number = $3

-- name: units_before
-- How many units calls of the same price had before each of calls $2 in the month, $3 to $4: by that, whether its own
-- were free.
SELECT call_id, before
FROM (SELECT call_id, coalesce(sum(units) OVER (PARTITION BY tariff_id, tariff_version, unit_s, rate
                                                ORDER BY answered_at, call_id COLLATE "C"
                                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS before
      FROM usage_calls
      WHERE merchant_id = $1 AND answered_at >= $3::timestamptz AND answered_at < $4::timestamptz AND NOT late) AS month
WHERE call_id = ANY ($2::text[])

-- name: rentals
-- The intervals of bindings $2.
SELECT merchant_id, order_id, binding_id, bound_at, ended_at
FROM usage_rentals
WHERE merchant_id = $1 AND binding_id = ANY ($2::uuid[])
