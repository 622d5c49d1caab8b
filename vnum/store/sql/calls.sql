-- name: route
-- Whom each dialled slot reaches, and whether the caller is locked out on that host.
-- $1 cell, $2 hosts, $3 extensions, $4 caller hashes, $5 simulated nows or nulls.
SELECT i.n, t.now, b.binding_id, b.bound_at, b.ended_at, b.release_reason, b.key_id, b.recipient,
       l.until > t.now AS locked_out
FROM (SELECT clock_timestamp() AS server, (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest) AS c
CROSS JOIN unnest($2::text[], $3::text[], $4::bytea[], $5::timestamptz[])
           WITH ORDINALITY AS i (host, extension, caller_hash, at, n)
CROSS JOIN LATERAL (SELECT greatest(coalesce(i.at, c.server), c.highest) AS now) AS t
LEFT JOIN LATERAL (
    SELECT l.until FROM lockouts l
    WHERE l.cell = $1 AND l.host = i.host AND l.caller_hash = i.caller_hash LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT s.binding_id FROM slots s
    WHERE s.cell = $1 AND s.host = i.host AND s.extension = i.extension LIMIT 1
) AS s ON true
LEFT JOIN LATERAL (
    SELECT * FROM bindings b WHERE b.cell = $1 AND b.binding_id = s.binding_id LIMIT 1
) AS b ON true;

-- name: remember_routes
-- The binding that a call was connected to, for its record; and who was told its number. $1 cells, $2 call ids, $3
-- binding ids; $4 hosts' cells, $5 keys, $6 what they read; $7 cells, each once, with $8 an entry id and $9 the instant.
WITH audit AS (
    INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects)
    SELECT e.cell, e.entry_id, e.at, 'number.read', array_agg(r.actor), array_agg(r.subject)
    FROM unnest($7::smallint[], $8::uuid[], $9::timestamptz[]) AS e (cell, entry_id, at)
    JOIN unnest($4::smallint[], $5::text[], $6::text[]) AS r (cell, actor, subject) USING (cell)
    GROUP BY e.cell, e.entry_id, e.at
)
INSERT INTO call_keys AS k (cell, call_id, binding_id)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::uuid[]) AS i (cell, call_id, binding_id) ORDER BY 1, 2
ON CONFLICT (cell, call_id) DO UPDATE SET binding_id = excluded.binding_id WHERE k.content IS NULL;

-- name: wrong_extension
-- Files digits that reached nobody, once per call (lapsed ones, under the call id '', once in all), and counts: those of
-- this call, and the caller's on this host since $6. $1 cell, $2 host, $3 caller hash, $4 call id, $5 digits, $7 now.
WITH filed AS (
    INSERT INTO wrong_extensions (cell, host, caller_hash, call_id, digits, at)
    VALUES ($1, $2, $3, $4, $5, $7)
    ON CONFLICT (cell, host, caller_hash, call_id, digits) DO UPDATE SET at = excluded.at
), seen AS (
    SELECT call_id, digits FROM wrong_extensions WHERE cell = $1 AND host = $2 AND caller_hash = $3 AND at > $6
    UNION
    SELECT $4, $5
)
SELECT count(*) FILTER (WHERE call_id = $4) AS in_call, count(*) AS in_window FROM seen;

-- name: lock_out
-- $1 cell, $2 host, $3 caller hash, $4 until.
INSERT INTO lockouts AS l (cell, host, caller_hash, until) VALUES ($1, $2, $3, $4)
ON CONFLICT (cell, host, caller_hash) DO UPDATE SET until = greatest(l.until, excluded.until);

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
-- first month (a slow clock) is late too, since that month is never closed for him.
-- $1 rows; $2 prices, each once, which rows name by their place from 1 on; $3 key id: a caller is not kept when that
-- key was destroyed while the record was under way.
WITH item AS MATERIALIZED (
    SELECT *, coalesce(i.answer_time, i.call_time) AS biz_at
    FROM unnest($1::call_filed[]) AS i
    JOIN unnest($2::call_rated[]) WITH ORDINALITY AS p (
        seconds, billed_s, charged_s, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, price)
    USING (price)
), taken AS (
    INSERT INTO call_keys AS k (cell, call_id, binding_id, content, minutes, cost, biz_at)
    SELECT call_cell, call_id, binding_id, content, minutes, cost, biz_at FROM item ORDER BY call_cell, call_id
    ON CONFLICT (cell, call_id) DO UPDATE
    SET binding_id = excluded.binding_id, content = excluded.content, minutes = excluded.minutes,
        cost = excluded.cost, biz_at = excluded.biz_at
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

-- name: forget_wrong_extensions
-- Those that count for no lock any more. $1 before.
DELETE FROM wrong_extensions WHERE at < $1;

-- name: forget_lockouts
DELETE FROM lockouts WHERE until < $1;
