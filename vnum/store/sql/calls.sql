-- name: resolve_records
-- The binding of each record: the one it names, else the one that route stored for the call, else
-- the one that held the slot when the caller dialled (in that second: call times are whole ones). And what is
-- known of the call already.
-- $1 rows: call_cell, call_id; the host's cell; host, extension, binding_id; call_time, from_id (the lowest id that a
-- binding alive then may have) and to_id (the first id after it), which only a record without a binding needs; biz_at,
-- by which the call is priced. tariff_id null = the default.
SELECT i.n, k.content AS known_content, k.minutes AS known_minutes, k.cost AS known_cost,
       b.binding_id, b.merchant_id, b.order_id, b.host, b.extension, a.tariff_id
FROM unnest($1::call_asked[])
     WITH ORDINALITY AS i (call_cell, call_id, cell, host, extension, binding_id, call_time, from_id, to_id, biz_at, n)
LEFT JOIN LATERAL (
    SELECT * FROM call_keys k WHERE k.cell = i.call_cell AND k.call_id = i.call_id LIMIT 1
) AS k ON true
LEFT JOIN LATERAL (
    SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension FROM bindings b
    WHERE b.cell = i.cell AND b.binding_id = coalesce(i.binding_id, k.binding_id)
    UNION ALL
    SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension FROM bindings b
    WHERE coalesce(i.binding_id, k.binding_id) IS NULL
      AND b.cell = i.cell AND b.host = i.host AND b.extension = i.extension
      AND b.binding_id >= i.from_id AND b.binding_id < i.to_id
      AND b.bound_at < i.call_time + interval '1 second' AND i.call_time < b.ended_at
    LIMIT 1
) b ON true
LEFT JOIN LATERAL (
    SELECT a.tariff_id FROM tariff_assignments a
    WHERE a.merchant_id = b.merchant_id AND a.effective_from <= i.biz_at ORDER BY a.effective_from DESC, a.entry DESC
    LIMIT 1
) AS a ON true;

-- name: file_records
-- Takes rated records: the call key decides (a call is charged once), and only what it gave back is
-- filed. late is judged here, so that a close and a record never miss each other; a call dated before the merchant's
-- first month (a slow clock) is late too, since that month is never closed for him. Who listens is told.
-- $1 rows; $2 prices, each once, which rows name by their place from 1 on; $3 key id: a caller is not kept when that
-- key was destroyed while the record was under way; $4 now. Whether anybody listens is asked once, not once a row.
WITH item AS MATERIALIZED (
    SELECT *, coalesce(i.answer_time, i.call_time) AS biz_at
    FROM unnest($1::call_filed[]) WITH ORDINALITY AS i (
        call_cell, call_id, content, cell, host, extension, binding_id, merchant_id, order_id, caller, caller_hash,
        call_time, ring_time, answer_time, release_time, release_dir, release_cause, price, n)
    JOIN unnest($2::call_rated[]) WITH ORDINALITY AS p (
        seconds, billed_s, charged_s, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, price)
    USING (price)
), taken AS (
    INSERT INTO call_keys AS k (cell, call_id, binding_id, content, minutes, cost, biz_at)
    SELECT call_cell, call_id, binding_id, content, minutes, cost, biz_at FROM item ORDER BY call_cell, call_id
    ON CONFLICT (cell, call_id) DO UPDATE
    SET binding_id = excluded.binding_id, content = excluded.content, minutes = excluded.minutes,
        cost = excluded.cost, biz_at = excluded.biz_at, caller_hash = NULL
    WHERE k.content IS NULL
    RETURNING k.call_id
), filed AS (
    INSERT INTO calls (cell, call_id, biz_at, host, extension, binding_id, merchant_id, order_id, key_id,
                       caller, caller_hash, call_time, ring_time, answer_time, release_time, release_dir,
                       release_cause, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id,
                       tariff_version, late)
    SELECT cell, call_id, biz_at, host, extension, binding_id, merchant_id, order_id, $3,
           CASE WHEN (SELECT d.destroyed_at FROM data_keys d WHERE d.key_id = $3) IS NULL THEN caller END,
           CASE WHEN (SELECT d.destroyed_at FROM data_keys d WHERE d.key_id = $3) IS NULL THEN caller_hash END,
           call_time, ring_time, answer_time, release_time, release_dir,
           release_cause, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version,
           (SELECT p.ends_at FROM periods p
            WHERE p.merchant_id = item.merchant_id AND p.ends_at > item.biz_at LIMIT 1) IS NOT NULL
           OR item.biz_at < (SELECT date_trunc('month', m.created_at, 'Asia/Shanghai') FROM merchants m
                             WHERE m.merchant_id = item.merchant_id)
    FROM item WHERE (call_id IN (SELECT taken.call_id FROM taken)) IS TRUE ORDER BY cell, biz_at, call_id
), told AS (
    INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
    SELECT i.cell, w.webhook_id, event_id(i.cell, $4, i.n, 'call.ended' || i.call_id), i.merchant_id, 'call.ended',
           i.binding_id, $4, $4, json_build_object(
               'call_id', i.call_id, 'binding_id', i.binding_id, 'merchant_id', i.merchant_id, 'order_id', i.order_id,
               'host', CASE WHEN shown THEN i.host END, 'extension', CASE WHEN shown THEN i.extension END,
               'number', CASE WHEN shown THEN i.host || '-' || i.extension END,
               'call_time', utc_text(i.call_time), 'answer_time', utc_text(i.answer_time),
               'release_time', utc_text(i.release_time), 'release_cause', i.release_cause, 'seconds', i.seconds,
               'minutes', i.minutes, 'cost', trim_scale(i.cost)::text)
    FROM item i
    CROSS JOIN LATERAL listeners('call.ended', i.merchant_id, $4) AS w
    CROSS JOIN LATERAL (
        SELECT may_read_number(w.role, (SELECT o.order_status FROM orders o
                                        WHERE o.cell = i.cell AND o.merchant_id = i.merchant_id
                                          AND o.order_id = i.order_id LIMIT 1)) AS shown
    ) AS o
    WHERE EXISTS (SELECT FROM webhooks w WHERE w.active AND w.deleted_at IS NULL AND 'call.ended' = ANY (w.events))
      AND (i.call_id IN (SELECT taken.call_id FROM taken)) IS TRUE
    ON CONFLICT DO NOTHING
)
SELECT call_id FROM taken;

-- name: call_keys
-- Where filed calls lie, by their ids. $1 cells, $2 call ids.
SELECT k.call_id, k.binding_id, k.biz_at
FROM unnest($1::smallint[], $2::text[]) AS i (cell, call_id)
CROSS JOIN LATERAL (
    SELECT * FROM call_keys k WHERE k.cell = i.cell AND k.call_id = i.call_id AND k.content IS NOT NULL LIMIT 1
) AS k;

-- name: calls_at
-- Filed calls by their whole keys, and whether their month is marked closed. $1 cells, $2 biz_ats, $3 call ids.
SELECT c.call_id, c.biz_at, c.merchant_id, c.order_id, c.binding_id, c.host, c.extension, c.key_id, c.caller,
       c.call_time,
       c.ring_time, c.answer_time, c.release_time, c.release_dir, c.release_cause, c.seconds, c.minutes, c.cost, c.late,
       EXISTS (SELECT 1 FROM periods p WHERE p.merchant_id = c.merchant_id AND p.ends_at > c.biz_at) AS month_closed
FROM unnest($1::smallint[], $2::timestamptz[], $3::text[]) AS i (cell, biz_at, call_id)
CROSS JOIN LATERAL (
    SELECT * FROM calls c WHERE c.cell = i.cell AND c.biz_at = i.biz_at AND c.call_id = i.call_id LIMIT 1
) AS c;

-- name: payer
-- Who pays for a call, by its whole key. $1 cell, $2 biz_at, $3 call id.
SELECT merchant_id FROM calls WHERE cell = $1 AND biz_at = $2 AND call_id = $3;

-- name: calls_of_merchant
-- A merchant's calls by their instant (answer, or dial when unanswered), without who rang. $1 merchant, $2 from, $3 to,
-- $4 order or null, $5 and $6 the instant and id after which to begin, $7 how many.
SELECT call_id, biz_at, order_id, binding_id, host, extension, call_time, ring_time, answer_time, release_time,
       release_dir, release_cause, seconds, minutes, cost, late
FROM calls
WHERE merchant_id = $1 AND biz_at >= greatest($2::timestamptz, $5::timestamptz) AND biz_at < $3::timestamptz
  AND ($4::text IS NULL OR order_id = $4) AND (biz_at, call_id) > ($5, $6::text)
ORDER BY biz_at, call_id LIMIT $7::int;
