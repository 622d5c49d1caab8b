-- What recipients keyed in after calls.

-- name: routed
-- What is known of a routed call. $1 cell, $2 call id.
SELECT binding_id, caller_hash, biz_at, back FROM call_keys WHERE cell = $1 AND call_id = $2;

-- name: parties
-- Whose call it was. $1 the host's cell, $2 binding, $3 and $4 where its record lies, or nulls.
SELECT b.merchant_id, b.order_id, b.recipient_hash,
       (SELECT c.caller_hash FROM calls c WHERE c.cell = $1 AND c.biz_at = $3 AND c.call_id = $4) AS caller_hash
FROM bindings b WHERE b.cell = $1 AND b.binding_id = $2;

-- name: add
-- Nothing comes back if it is there. $1 cell, $2 call id, $3 mark, $4 at, $5 binding, $6 merchant, $7 caller, $8 recipient.
INSERT INTO call_marks (cell, call_id, mark, marked_at, binding_id, merchant_id, caller_hash, recipient_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING call_id;

-- name: complain_in_turn
-- Complaints of one recipient wait for one another: the one that makes it enough sees the others. $1 recipient.
SELECT pg_advisory_xact_lock(hashtextextended('complaint ' || encode($1, 'hex'), 0));

-- name: complaints
-- A recipient's about a merchant since then. $1 recipient, $2 merchant, $3 since.
SELECT count(*) FROM call_marks
WHERE recipient_hash = $1 AND merchant_id = $2 AND marked_at > $3 AND mark = 'complaint';

-- name: of_calls
-- $1 cells, $2 call ids.
SELECT m.call_id, m.mark
FROM unnest($1::smallint[], $2::text[]) AS i (cell, call_id)
JOIN call_marks m ON m.cell = i.cell AND m.call_id = i.call_id
ORDER BY m.call_id, m.mark;

-- name: forget_parties
-- Who rang whom, of marks that count no more. $1 before.
UPDATE call_marks SET caller_hash = NULL, recipient_hash = NULL
WHERE marked_at < $1 AND (caller_hash IS NOT NULL OR recipient_hash IS NOT NULL);

-- name: sums
-- What a merchant's calls were marked with. $1 merchant, $2 from, $3 to.
SELECT mark, count(*) AS calls FROM call_marks
WHERE merchant_id = $1 AND marked_at >= $2 AND marked_at < $3 GROUP BY mark ORDER BY mark;
