-- name: claim
-- The key for this request, unless another had it within 24 hours. $1 scope, $2 key, $3 request hash, $4 the tie.
INSERT INTO idempotency_keys AS k (scope, idempotency_key, body_hash, status, body, created_at, tie)
VALUES ($1, $2, $3, 0, '', clock_timestamp(), $4)
ON CONFLICT (scope, idempotency_key) DO UPDATE
SET body_hash = excluded.body_hash, status = 0, body = '', created_at = excluded.created_at,
    tie = excluded.tie
WHERE k.created_at <= clock_timestamp() - interval '24 hours'
RETURNING true;

-- name: claimed
SELECT body_hash, status, body, tie FROM idempotency_keys WHERE scope = $1 AND idempotency_key = $2;

-- name: keep_answer
-- The answer of the request that holds the key; the first one counts.
UPDATE idempotency_keys SET status = $4, body = $5
WHERE scope = $1 AND idempotency_key = $2 AND body_hash = $3 AND status = 0
RETURNING true;

-- name: forget_answers
DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '24 hours';
