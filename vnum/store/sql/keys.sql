-- name: add_key
INSERT INTO api_keys (key_id, secret_hash, role, merchants, carrier, note, created_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp());

-- name: key
SELECT secret_hash, role, merchants, carrier FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL;

-- name: revoke_key
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id;

-- name: keys
SELECT key_id, role, merchants, carrier, note, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id;

-- name: revoke_noted_keys
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE note = $1 AND revoked_at IS NULL;
