-- Tariff versions.

-- name: all
-- Every version of every tariff, as TariffVersion's fields.
SELECT tariff_id, version, effective_from, rental_day, call_minute FROM tariffs

-- name: closed_until
-- The end of the last period marked for anyone, null if none; the index gives it at once.
SELECT max(ends_at) FROM periods

-- name: add
-- Add a version unless a marked period contains its start. $1 tariff, $2 version, $3 effective_from, $4 price of a day,
-- $5 price of a minute. Returns the version, or nothing.
INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute)
SELECT $1::text, $2::integer, $3::timestamptz, $4::numeric, $5::numeric
WHERE NOT EXISTS (SELECT 1 FROM periods WHERE ends_at > $3)
RETURNING version
