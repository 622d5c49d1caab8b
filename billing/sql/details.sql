-- What invoices charged, row by row, for exports. All of them: $1 period, $2 merchants or null for all; in byte order of
-- the merchants, so that Python, which compares code points, can walk through them side by side.

-- name: heads
-- The invoices.
SELECT * FROM invoices
WHERE period = $1::date AND ($2::text[] IS NULL OR merchant_id = ANY ($2))
ORDER BY merchant_id COLLATE "C"

-- name: lines
-- Their lines.
SELECT i.merchant_id, l.*
FROM invoices i
JOIN invoice_lines l USING (invoice_number)
WHERE i.period = $1::date AND ($2::text[] IS NULL OR i.merchant_id = ANY ($2))
ORDER BY i.merchant_id COLLATE "C", l.line_no

-- name: taxes
-- What of them comes under each tax.
SELECT i.merchant_id, t.*
FROM invoices i
JOIN invoice_taxes t USING (invoice_number)
WHERE i.period = $1::date AND ($2::text[] IS NULL OR i.merchant_id = ANY ($2))
ORDER BY i.merchant_id COLLATE "C", t.tax_mode, t.tax_rate

-- name: rentals
-- Bindings that may have a day in the period, $3 to $4; their days are listed by billing/rental.py.
SELECT r.merchant_id, r.order_id, r.binding_id, r.bound_at, r.ended_at
FROM usage_rentals r
JOIN invoices i ON i.merchant_id = r.merchant_id AND i.period = $1::date
WHERE ($2::text[] IS NULL OR r.merchant_id = ANY ($2))
  AND r.bound_at < $4::timestamptz AND (r.ended_at > $3::timestamptz OR r.bound_at >= $3::timestamptz)
ORDER BY r.merchant_id COLLATE "C", r.bound_at, r.binding_id

-- name: calls
-- Calls answered in the period, $3 to $4, that arrived in time.
SELECT c.merchant_id, c.order_id, c.binding_id, c.call_id, c.answered_at, c.released_at, c.seconds, c.minutes, c.units,
       c.unit_s, c.setup_fee, c.tariff_id, c.tariff_version, c.rate, c.cost AS amount
FROM usage_calls c
JOIN invoices i ON i.merchant_id = c.merchant_id AND i.period = $1::date
WHERE ($2::text[] IS NULL OR c.merchant_id = ANY ($2))
  AND c.answered_at >= $3::timestamptz AND c.answered_at < $4::timestamptz AND NOT c.late
ORDER BY c.merchant_id COLLATE "C", c.answered_at, c.call_id COLLATE "C"

-- name: adjustments
-- Late calls that these invoices took.
SELECT a.*
FROM invoices i
JOIN invoice_adjustments a USING (invoice_number)
WHERE i.period = $1::date AND ($2::text[] IS NULL OR i.merchant_id = ANY ($2))
ORDER BY i.merchant_id COLLATE "C", a.answered_at, a.call_id

-- name: no_time_limit
-- The session's statement time-out is made for the hot path; an export takes as long as its reader.
SELECT set_config('statement_timeout', '0', true)
