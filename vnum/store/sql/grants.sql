-- name: grant
-- One grant in force a key and merchant; returns nothing if there is one. $1 merchant, $2 isv, $3 now, $4 by whom.
INSERT INTO grants (merchant_id, isv, granted_at, granted_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (isv, merchant_id) WHERE withdrawn_at IS NULL DO NOTHING
RETURNING entry;

-- name: withdraw
-- $1 merchant, $2 isv, $3 now, $4 by whom.
UPDATE grants SET withdrawn_at = $3, withdrawn_by = $4
WHERE merchant_id = $1 AND isv = $2 AND withdrawn_at IS NULL
RETURNING entry;

-- name: newest
-- The grant in force, or the last one that was. $1 merchant, $2 isv.
SELECT entry, merchant_id, isv, granted_at, granted_by, withdrawn_at, withdrawn_by FROM grants
WHERE merchant_id = $1 AND isv = $2 ORDER BY entry DESC LIMIT 1;

-- name: grants
-- A page of a merchant's, the newest first. $1 merchant, $2 before which entry, $3 how many.
SELECT entry, merchant_id, isv, granted_at, granted_by, withdrawn_at, withdrawn_by FROM grants
WHERE merchant_id = $1 AND entry < $2 ORDER BY entry DESC LIMIT $3;

-- name: parties
-- Whether there is such a merchant, and such a key of an isv in force. $1 merchant, $2 isv, $3 now.
SELECT EXISTS (SELECT FROM merchants WHERE merchant_id = $1) AS merchant,
       EXISTS (SELECT FROM api_keys WHERE key_id = $2 AND role = 'isv' AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > $3)) AS isv;
