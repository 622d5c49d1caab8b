-- What is held about one phone, found by its fingerprint. Each looks into every month that still names people.

-- name: subject_bindings
-- $1 fingerprint, $2 after this id, $3 how many.
SELECT binding_id, merchant_id, order_id, host, extension, bound_at, expires_at, ended_at, release_reason,
       recipient_name IS NOT NULL AS named
FROM bindings WHERE recipient_hash = $1 AND binding_id > $2 ORDER BY binding_id LIMIT $3;

-- name: calls_to
-- Calls that a binding of it led to. $1 fingerprint, $2, $3, $4 after this binding, instant and call, $5 how many.
SELECT b.binding_id, c.biz_at, c.call_id, c.order_id, c.merchant_id, c.host, c.extension, c.call_time, c.answer_time,
       c.release_time
FROM bindings b
CROSS JOIN LATERAL (
    SELECT * FROM calls c
    WHERE c.merchant_id = b.merchant_id AND c.biz_at >= b.bound_at - interval '1 hour'
      AND c.biz_at < b.ended_at + interval '2 days' AND c.binding_id = b.binding_id
) AS c
WHERE b.recipient_hash = $1 AND (b.binding_id, c.biz_at, c.call_id) > ($2::uuid, $3::timestamptz, $4::text)
ORDER BY b.binding_id, c.biz_at, c.call_id LIMIT $5;

-- name: calls_from
-- Calls that it made. $1 fingerprint, $2 and $3 after this instant and call, $4 how many.
SELECT cell, biz_at, call_id, binding_id, order_id, merchant_id, host, extension, call_time, answer_time, release_time
FROM calls WHERE caller_hash = $1 AND biz_at >= $2 AND (biz_at, call_id) > ($2, $3::text)
ORDER BY biz_at, call_id LIMIT $4;

-- name: counts_against
-- Wrong extensions and locks of it as a caller. $1 fingerprint.
SELECT (SELECT count(*) FROM wrong_extensions WHERE caller_hash = $1) AS wrong_extensions,
       (SELECT count(*) FROM lockouts WHERE caller_hash = $1) AS lockouts;

-- name: erase_bindings
-- $1 cell, $2 binding ids, $3 fingerprint: one that was given another phone meanwhile keeps it.
WITH erased AS (
    UPDATE bindings SET recipient = NULL, recipient_hash = NULL, recipient_name = NULL
    WHERE cell = $1 AND binding_id = ANY ($2::uuid[]) AND recipient_hash = $3
    RETURNING binding_id, merchant_id, order_id
), ordered AS (
    UPDATE orders o SET recipient_hash = NULL FROM erased
    WHERE o.cell = $1 AND o.merchant_id = erased.merchant_id AND o.order_id = erased.order_id
      AND o.binding_id = erased.binding_id
)
SELECT binding_id FROM erased;

-- name: erase_calls
-- $1 cells, $2 biz_ats, $3 call ids.
UPDATE calls c SET caller = NULL, caller_hash = NULL
FROM unnest($1::smallint[], $2::timestamptz[], $3::text[]) AS i (cell, biz_at, call_id)
WHERE c.cell = i.cell AND c.biz_at = i.biz_at AND c.call_id = i.call_id;

-- name: erase_wrong_extensions
DELETE FROM wrong_extensions WHERE caller_hash = $1;

-- name: erase_lockouts
DELETE FROM lockouts WHERE caller_hash = $1;

-- name: erase_contacts
DELETE FROM contacts WHERE recipient_hash = $1;

-- name: erase_texted
DELETE FROM texted WHERE recipient_hash = $1;

-- name: erase_reached
-- That somebody was the last to ring stays, or he who calls back would be given the one before; who it was does not.
UPDATE reached SET caller_hash = uuid_send(gen_random_uuid()) WHERE caller_hash = $1;

-- name: erase_dials
UPDATE dials SET agent = NULL, agent_hash = NULL WHERE agent_hash = $1;

-- name: erase_routed
UPDATE call_keys SET caller_hash = NULL WHERE caller_hash = $1;

-- name: erase_marks
UPDATE call_marks
SET caller_hash = nullif(caller_hash, $1), recipient_hash = nullif(recipient_hash, $1)
WHERE caller_hash = $1 OR recipient_hash = $1;

-- name: wishes
-- What it wants, what it is registered or listed as, and what it keyed in. $1 fingerprint, $2 how many of each.
(SELECT 'opt_out' AS kind, nullif(merchant_id, '') AS merchant_id, scope AS what, said_at AS at, NULL::text AS call_id
 FROM opt_outs WHERE recipient_hash = $1 ORDER BY said_at DESC LIMIT $2)
UNION ALL
(SELECT 'registered', merchant_id, class, created_at, NULL FROM callers WHERE phone_hash = $1
 ORDER BY created_at DESC LIMIT $2)
UNION ALL
(SELECT 'blacklisted', nullif(merchant_id, ''), direction, created_at, NULL FROM blacklist WHERE phone_hash = $1
 ORDER BY created_at DESC LIMIT $2)
UNION ALL
(SELECT 'mark', merchant_id, mark, marked_at, call_id FROM call_marks WHERE recipient_hash = $1
 ORDER BY marked_at DESC LIMIT $2);

-- name: patience
SET LOCAL statement_timeout = '600s';
