-- What merchants' calls may do, as JSON of the fields that each sets.

-- name: get
SELECT policy FROM call_policies WHERE merchant_id = $1;

-- name: put
-- $1 merchant, $2 policy, $3 at, $4 by.
INSERT INTO call_policies AS p (merchant_id, policy, changed_at, changed_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (merchant_id) DO UPDATE
SET policy = excluded.policy, changed_at = excluded.changed_at, changed_by = excluded.changed_by;

-- name: pick
-- The group of callers that alone may ring a binding. $1 cell, $2 binding, $3 group or null.
UPDATE bindings SET caller_group = $3 WHERE cell = $1 AND binding_id = $2 RETURNING binding_id;
