-- The usage of one merchant's month, to be rated anew. $1 merchant, $2 to $3 the month.

-- name: lift_limits
-- The session's statement time-out is made for the hot path. Most merchants' months are small: compiling the statements
-- would take longer than running them. Until the end of the transaction.
SELECT set_config('statement_timeout', '0', true), set_config('jit', 'off', true)

-- name: opened_at
-- When the merchant was opened.
SELECT opened_at FROM usage_accounts WHERE merchant_id = $1

-- name: rentals
-- Bindings that may have a day in the month.
SELECT merchant_id, order_id, binding_id, bound_at, ended_at
FROM usage_rentals
WHERE merchant_id = $1
  AND bound_at < $3::timestamptz AND (ended_at > $2::timestamptz OR bound_at >= $2::timestamptz)

-- name: calls
-- Calls answered in the month, charged or not, in order of their answer. Of those that arrived late only the ones that
-- cost nothing: the others are on the invoice that took them. `charged` = on the invoice of this month.
SELECT merchant_id, order_id, binding_id, call_id, answered_at, released_at, seconds, minutes, units, unit_s, setup_fee,
       tariff_id, tariff_version, rate, cost AS amount, late, units > 0 AS charged
FROM usage_answered
WHERE merchant_id = $1 AND answered_at >= $2::timestamptz AND answered_at < $3::timestamptz AND (NOT late OR units = 0)
ORDER BY answered_at, call_id COLLATE "C"

-- name: adjustments
-- Late calls that an invoice took. $1 number.
SELECT * FROM invoice_adjustments WHERE invoice_number = $1
