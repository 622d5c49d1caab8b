-- Registered callers; '' as merchant or carrier = none.

-- name: register
-- One entry a phone, class, merchant and carrier: registered again it takes another group, and is verified or not as
-- the last says who may say so. $1 id, $2 phone hash, $3 class, $4 merchant, $5 carrier, $6 group, $7 verified (null = may
-- not say), $8 sealed phone, $9 at, $10 by. Returns the entry as it is now.
INSERT INTO callers AS c (caller_id, phone_hash, class, merchant_id, carrier, caller_group, verified, phone, created_at,
                          created_by)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, false), $8, $9, $10)
ON CONFLICT (phone_hash, class, merchant_id, carrier) DO UPDATE
SET caller_group = excluded.caller_group, verified = coalesce($7, c.verified)
RETURNING *;

-- name: page
-- Those behind $2. $1 merchants or null, $3 how many.
SELECT caller_id, class, merchant_id, carrier, caller_group, verified, created_at FROM callers
WHERE ($1::text[] IS NULL OR merchant_id = ANY ($1)) AND caller_id > $2 ORDER BY caller_id LIMIT $3;

-- name: known_of
-- The phones of entries, sealed, with the complaints about each since $2. $1 ids.
SELECT c.caller_id, c.phone, m.complaints
FROM callers c
CROSS JOIN LATERAL (
    SELECT count(*) AS complaints FROM call_marks m
    WHERE m.caller_hash = c.phone_hash AND m.marked_at > $2 AND m.mark = 'complaint'
      AND (c.merchant_id = '' OR m.merchant_id = c.merchant_id)
) AS m
WHERE c.caller_id = ANY ($1);

-- name: remove
-- $1 id, $2 merchants whose it has to be, or null.
DELETE FROM callers WHERE caller_id = $1 AND ($2::text[] IS NULL OR merchant_id = ANY ($2)) RETURNING caller_id;
