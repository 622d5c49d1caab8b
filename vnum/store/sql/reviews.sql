-- Call records that were not taken: kept, listed, decided.

-- name: keep_reviews
-- Keeps what was not taken, once each content. What comes again tells why it is not taken now; what was taken once and
-- is not any more (another record was accepted in its place) is open again; what was discarded stays so.
-- $1 cells, $2 review ids, $3 call ids, $4 received at, $5 statuses, $6 codes, $7 details, $8 contents, $9 records
-- (sealed), $10 key id.
INSERT INTO call_reviews AS r (cell, review_id, call_id, received_at, status, code, detail, content, key_id, record)
SELECT cell, review_id, call_id, $4, status, code, detail, content, $10, record
FROM unnest($1::smallint[], $2::uuid[], $3::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])
     AS i (cell, review_id, call_id, status, code, detail, content, record)
ORDER BY cell, call_id, content
ON CONFLICT (cell, call_id, content) DO UPDATE
SET state = 'open', status = excluded.status, code = excluded.code, detail = excluded.detail
WHERE r.state IN ('retried', 'accepted') OR (r.state = 'open' AND (r.status, r.code) <> (excluded.status, excluded.code));

-- name: reviews
-- Reviews of a state, oldest first. $1 state, $2 status or null, $3 code or null, $4 the id after which to begin,
-- $5 how many.
SELECT cell, review_id, call_id, received_at, status, code, detail, state, decided_at, decided_by, reason, key_id, record
FROM call_reviews
WHERE state = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR code = $3) AND review_id > $4::uuid
ORDER BY review_id LIMIT $5::int;

-- name: lock_review
-- One review, kept from other decisions until the transaction's end. $1 cell, $2 review id.
SELECT cell, review_id, call_id, received_at, status, code, detail, state, decided_at, decided_by, reason, key_id, record
FROM call_reviews WHERE cell = $1 AND review_id = $2 FOR UPDATE;

-- name: refuse_again
-- A retry was refused: the review stays open, with what is wrong now. $1 cell, $2 review id, $3 status, $4 code,
-- $5 detail.
UPDATE call_reviews SET status = $3, code = $4, detail = $5 WHERE cell = $1 AND review_id = $2;

-- name: decide_review
-- $1 cell, $2 review id, $3 state, $4 decided at, $5 decided by, $6 reason.
UPDATE call_reviews SET state = $3, decided_at = $4, decided_by = $5, reason = $6
WHERE cell = $1 AND review_id = $2 AND state = 'open';

-- name: lock_call
-- What is charged under a call's id, kept from other replacements until the transaction's end. $1 cell, $2 call id.
SELECT binding_id, biz_at, content FROM call_keys WHERE cell = $1 AND call_id = $2 AND content IS NOT NULL FOR UPDATE;

-- name: replace_call
-- Puts an accepted record in the place of the charged call, keeps what was charged as a closed review, and closes the
-- review: all of it, or nothing if the month of the one or of the other is marked closed. That is judged here, so that a
-- close and a replacement never miss each other. The call stays that of its binding; late is as in file_records.
-- $1 host's cell, $2 call id, $3 when the charged call was, $4 when the accepted one was, $5 to $22 the rest of it,
-- $23 the call's cell, $24 content, $25 review id, $26 now, $27 decided by, $28 reason; of the replaced record: $29
-- review id, $30 detail, $31 content, $32 sealed, $33 its key id.
WITH replaced AS (
    UPDATE calls c
    SET biz_at = $4, key_id = $5, caller = $6, caller_hash = $7, call_time = $8, ring_time = $9, answer_time = $10,
        release_time = $11, release_dir = $12, release_cause = $13, seconds = $14, minutes = $15, units = $16,
        unit_s = $17, rate = $18, setup_fee = $19, cost = $20, tariff_id = $21, tariff_version = $22,
        late = $4::timestamptz < (SELECT date_trunc('month', m.created_at, 'Asia/Shanghai') FROM merchants m
                                  WHERE m.merchant_id = c.merchant_id)
    WHERE c.cell = $1 AND c.call_id = $2 AND c.biz_at = $3::timestamptz
      AND NOT EXISTS (SELECT 1 FROM periods p
                      WHERE p.merchant_id = c.merchant_id AND p.ends_at > least($3::timestamptz, $4::timestamptz))
    RETURNING c.call_id, c.minutes, c.cost
), keyed AS (
    UPDATE call_keys k
    SET content = $24, minutes = replaced.minutes, cost = replaced.cost, biz_at = $4
    FROM replaced WHERE k.cell = $23 AND k.call_id = replaced.call_id
    RETURNING k.call_id
), kept AS (
    INSERT INTO call_reviews (cell, review_id, call_id, received_at, status, code, detail, content, key_id, record, state,
                              decided_at, decided_by, reason)
    SELECT $23, $29::uuid, keyed.call_id, $26::timestamptz, 'conflict', 'record_conflict', $30::text, $31::bytea,
           $33::smallint, $32::bytea, 'replaced', $26, $27::text, $28::text
    FROM keyed
)
UPDATE call_reviews r SET state = 'accepted', decided_at = $26, decided_by = $27, reason = $28
WHERE r.cell = $23 AND r.review_id = $25 AND EXISTS (SELECT 1 FROM keyed)
RETURNING r.review_id;
