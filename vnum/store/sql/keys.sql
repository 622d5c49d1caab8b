-- name: add_key
-- $1 key id, $2 hash and $3 sealed text of its secret (one of them), $4 role, $5 merchants, $6 carrier, $7 note, $8 now,
-- $9 when it expires, $10 requests a second.
INSERT INTO api_keys (key_id, secret_hash, secret_sealed, signed, role, merchants, carrier, note, created_at, secret_at,
                      expires_at, rate_per_s)
VALUES ($1, $2, $3, $3::bytea IS NOT NULL, $4, $5, $6, $7, $8, $8, $9, $10);

-- name: key
-- A key that was not revoked; of an isv's, the merchants that granted it. $1 key id, $2 simulated now or null.
SELECT secret_hash, secret_sealed, former_hash, former_sealed, former_ends_at, signed, expires_at, role, merchants,
       carrier, rate_per_s, used_on, coalesce($2, clock_timestamp()) AS server_now,
       CASE WHEN role = 'isv' THEN
           ARRAY(SELECT g.merchant_id FROM grants g WHERE g.isv = key_id AND g.withdrawn_at IS NULL)
       END AS granted
FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL;

-- name: rotate_key
-- A new secret; the one of before is the former until $5. $1 key id, $2 hash and $3 sealed text, $4 now, $6 whether the
-- key signs.
UPDATE api_keys
SET former_hash = CASE WHEN $5 > $4 THEN secret_hash END, former_sealed = CASE WHEN $5 > $4 THEN secret_sealed END,
    former_at = CASE WHEN $5 > $4 THEN secret_at END, former_ends_at = CASE WHEN $5 > $4 THEN $5::timestamptz END,
    secret_hash = $2, secret_sealed = $3, secret_at = $4::timestamptz
WHERE key_id = $1 AND signed = $6 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)
RETURNING key_id;

-- name: change_key
-- Of each field: whether it is changed, and to what. $1 key id, $2 now, $3 note, $5 expires_at, $7 rate_per_s.
UPDATE api_keys
SET note = CASE WHEN $3::boolean THEN $4::text ELSE note END,
    expires_at = CASE WHEN $5::boolean THEN $6::timestamptz ELSE expires_at END,
    rate_per_s = CASE WHEN $7::boolean THEN $8::integer ELSE rate_per_s END
WHERE key_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
RETURNING key_id;

-- name: revoke_key
-- $1 key id, $2 now.
UPDATE api_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id;

-- name: keys
-- Every key there ever was behind $1, or $3 alone. $2 how many.
SELECT key_id, role, merchants, carrier, note, signed, rate_per_s, created_at, expires_at, revoked_at, used_on,
       secret_at, former_at, former_ends_at
FROM api_keys WHERE key_id > $1 AND ($3::text IS NULL OR key_id = $3) ORDER BY key_id LIMIT $2;

-- name: used
-- A key was used on day $2.
UPDATE api_keys SET used_on = $2 WHERE key_id = $1 AND (used_on IS NULL OR used_on < $2);

-- name: revoke_noted_keys
-- Every key in force that was made with a note. $1 note, $2 now.
UPDATE api_keys SET revoked_at = $2 WHERE note = $1 AND revoked_at IS NULL RETURNING key_id;

-- name: take_nonces
-- Those of the nonces that nobody had before. $1 key ids, $2 nonces, $3 until when each is remembered.
INSERT INTO nonces (key_id, nonce, until)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (key_id, nonce, until) ORDER BY 1, 2
ON CONFLICT (key_id, nonce) DO NOTHING
RETURNING key_id, nonce;

-- name: forget_nonces
-- $1 now, $2 how many at most.
DELETE FROM nonces WHERE (key_id, nonce) IN (SELECT key_id, nonce FROM nonces WHERE until < $1 LIMIT $2);
