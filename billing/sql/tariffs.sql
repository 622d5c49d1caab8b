-- Tariff versions and assignments. Both are only ever added to.

-- name: all
-- Every version of every tariff.
SELECT tariff_id, version, effective_from, rental_count, rental_day, call_minute, first_s, next_s, minimum_s, free_s,
       setup_fee, free_minutes, tax_mode, tax_rate
FROM tariffs

-- name: listing
-- The same with who added them, for people.
SELECT tariff_id, version, effective_from, rental_count, rental_day, call_minute, first_s, next_s, minimum_s, free_s,
       setup_fee, free_minutes, tax_mode, tax_rate, note, added_at, added_by
FROM tariffs
ORDER BY tariff_id COLLATE "C", version

-- name: is_paid
-- Whether anybody pays the tariff, now or later. $1 tariff.
SELECT $1 = 'default' OR EXISTS (SELECT FROM tariff_assignments WHERE tariff_id = $1)

-- name: add
-- Add a version: $1 to $14 its columns, $15 note, $16 now, $17 author. One of a tariff that somebody pays begins at $18
-- or later, and in no month that is marked for anyone: asked here, so that a close or an assignment at the same time
-- either sees the version or makes it fail (see billing/drain.py). Returns the version, or nothing.
INSERT INTO tariffs (tariff_id, version, effective_from, rental_count, rental_day, call_minute, first_s, next_s,
                     minimum_s, free_s, setup_fee, free_minutes, tax_mode, tax_rate, note, added_at, added_by)
SELECT $1::text, $2::integer, $3::timestamptz, $4::text, $5::numeric, $6::numeric, $7::integer, $8::integer,
       $9::integer, $10::integer, $11::numeric, $12::integer, $13::text, $14::numeric, $15::text, $16::timestamptz,
       $17::text
WHERE ($1 <> 'default' AND NOT EXISTS (SELECT FROM tariff_assignments a WHERE a.tariff_id = $1))
   OR ($3 >= $18::timestamptz AND NOT EXISTS (SELECT FROM periods WHERE ends_at > $3))
ON CONFLICT DO NOTHING
RETURNING version

-- name: is_used
-- Whether the merchant has any usage. $1 merchant.
SELECT EXISTS (SELECT FROM usage_rentals WHERE merchant_id = $1) OR EXISTS (SELECT FROM usage_calls WHERE merchant_id = $1)

-- name: assign
-- $1 merchant, $2 from when, $3 tariff, $4 now, $5 author; not into a month that is marked for the merchant. Returns
-- true, or nothing.
INSERT INTO tariff_assignments (merchant_id, effective_from, tariff_id, assigned_at, assigned_by)
SELECT $1::text, $2::timestamptz, $3::text, $4::timestamptz, $5::text
WHERE NOT EXISTS (SELECT FROM periods p WHERE p.merchant_id = $1 AND p.ends_at > $2)
ON CONFLICT DO NOTHING
RETURNING true

-- name: assignments
-- Those that count: of two that begin at one instant the later one. $1 merchants.
SELECT DISTINCT ON (merchant_id, effective_from) merchant_id, effective_from, tariff_id FROM tariff_assignments
WHERE merchant_id = ANY ($1::text[])
ORDER BY merchant_id, effective_from, entry DESC
