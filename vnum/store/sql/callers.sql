-- Registered callers; '' as merchant or carrier = none.

-- name: register
-- One entry a phone, class, merchant and carrier: registered again it takes another group, and is verified or not as
-- the last says who may say so. $1 id, $2 phone hash, $3 class, $4 merchant, $5 carrier, $6 group, $7 verified (null = may
-- not say), $8 sealed phone, $9 at, $10 by. Returns the entry's own id, phone and time.
INSERT INTO callers AS c (caller_id, phone_hash, class, merchant_id, carrier, caller_group, verified, phone, created_at,
                          created_by)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, false), $8, $9, $10)
ON CONFLICT (phone_hash, class, merchant_id, carrier) DO UPDATE
SET caller_group = excluded.caller_group, verified = coalesce($7, c.verified)
RETURNING *;

-- name: page
-- Those behind $2, with the complaints about each since $4. $1 merchants or null, $3 how many.
SELECT c.*, m.complaints
FROM (
    SELECT * FROM callers c WHERE ($1::text[] IS NULL OR c.merchant_id = ANY ($1)) AND c.caller_id > $2
    ORDER BY c.caller_id LIMIT $3
) AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS complaints FROM call_marks m
    WHERE m.caller_hash = c.phone_hash AND m.marked_at > $4 AND m.mark = 'complaint'
      AND (c.merchant_id = '' OR m.merchant_id = c.merchant_id)
) AS m
ORDER BY c.caller_id;

-- name: remove
-- $1 id, $2 merchants whose it has to be, or null.
DELETE FROM callers WHERE caller_id = $1 AND ($2::text[] IS NULL OR merchant_id = ANY ($2)) RETURNING caller_id;
