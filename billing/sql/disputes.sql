-- Disputes of calls. A dispute without an outcome is open.

-- name: open
-- Open one unless one of this call is open. $1 merchant, $2 call, $3 reason, $4 author, $5 now. Returns it, or nothing.
INSERT INTO disputes (merchant_id, call_id, reason, author, opened_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz)
ON CONFLICT (merchant_id, call_id) WHERE outcome IS NULL DO NOTHING
RETURNING *

-- name: resolve
-- Resolve one that is open. $1 dispute, $2 outcome, $3 reason, $4 author, $5 now, $6 note or null. Returns it, or nothing.
UPDATE disputes
SET outcome = $2::text, resolution = $3::text, resolved_by = $4::text, resolved_at = $5::timestamptz,
    note_number = $6::text
WHERE dispute_id = $1::bigint AND outcome IS NULL
RETURNING *

-- name: merchant
-- Whose call is disputed; no row: no such dispute. $1 dispute.
SELECT merchant_id FROM disputes WHERE dispute_id = $1::bigint

-- name: listing
-- Oldest first. $1 merchants or null, $2 state or null, $3 the dispute after which to begin, $4 how many.
SELECT * FROM disputes
WHERE ($1::text[] IS NULL OR merchant_id = ANY ($1))
  AND ($2::text IS NULL OR coalesce(outcome, 'open') = $2)
  AND dispute_id > $3::bigint
ORDER BY dispute_id
LIMIT $4::integer

-- name: states
-- The state of the last dispute of each call that has one. $1 merchant, $2 calls.
SELECT DISTINCT ON (call_id) call_id, coalesce(outcome, 'open') AS state
FROM disputes
WHERE merchant_id = $1::text AND call_id = ANY ($2::text[])
ORDER BY call_id, dispute_id DESC

-- name: of_call
-- All of one call, oldest first. $1 merchant, $2 call.
SELECT * FROM disputes WHERE merchant_id = $1::text AND call_id = $2::text ORDER BY dispute_id
