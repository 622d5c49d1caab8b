-- name: kept_answer
-- One older than 24 hours is dropped by the way, so that another can be kept in its place. $1 scope, $2 key.
WITH old AS (
    DELETE FROM idempotency_keys
    WHERE scope = $1 AND idempotency_key = $2 AND created_at <= clock_timestamp() - interval '24 hours'
)
SELECT body_hash, status, body FROM idempotency_keys
WHERE scope = $1 AND idempotency_key = $2 AND created_at > clock_timestamp() - interval '24 hours';

-- name: keep_answer
INSERT INTO idempotency_keys (scope, idempotency_key, body_hash, status, body, created_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp())
ON CONFLICT DO NOTHING RETURNING status;

-- name: forget_answers
DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '24 hours';
