-- Phones that may not ring, or not be rung; '' as merchant = of all.

-- name: add
-- $1 id, $2 phone hash, $3 direction, $4 merchant, $5 sealed phone, $6 reason, $7 at, $8 by. Nothing comes back if it is
-- there.
INSERT INTO blacklist (blacklist_id, phone_hash, direction, merchant_id, phone, reason, created_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (phone_hash, direction, merchant_id) DO NOTHING
RETURNING *;

-- name: entry
-- $1 phone hash, $2 direction, $3 merchant.
SELECT * FROM blacklist WHERE phone_hash = $1 AND direction = $2 AND merchant_id = $3;

-- name: page
-- Those behind $2. $1 merchants or null, $3 how many.
SELECT blacklist_id, direction, merchant_id, reason, created_at FROM blacklist
WHERE ($1::text[] IS NULL OR merchant_id = ANY ($1)) AND blacklist_id > $2 ORDER BY blacklist_id LIMIT $3;

-- name: phones
-- Of entries, sealed. $1 ids.
SELECT blacklist_id, phone FROM blacklist WHERE blacklist_id = ANY ($1);

-- name: remove
-- $1 id, $2 merchants whose it has to be, or null.
DELETE FROM blacklist WHERE blacklist_id = $1 AND ($2::text[] IS NULL OR merchant_id = ANY ($2)) RETURNING blacklist_id;
