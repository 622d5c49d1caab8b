-- Where a call goes: two statements, whatever the answer is. The first reads all that is decided by, the second files
-- what was decided, by the same statement for every no; nothing between them depends on which extensions live (docs/decisions/0028). Rows are looked up by
-- LATERAL (... LIMIT 1), as in bindings.sql.

-- name: look_up
-- Whom each dialled slot reaches, and everything that may forbid it.
-- $1 cell, $2 hosts, $3 extensions, $4 caller hashes, $5 simulated nows or nulls.
SELECT i.n, t.now, l.until > t.now AS locked_out,
       b.binding_id, b.merchant_id, b.order_id, b.bound_at, b.ended_at, b.release_reason, b.key_id, b.recipient,
       b.recipient_hash, b.caller_group AS wanted_group, o.order_status, p.policy, c.class, c.verified, c.caller_group,
       x.everything, x.shop, x.blocked, y.listed AS caller_listed, z.listed AS callee_listed, r.reached, w.carries
FROM (SELECT clock_timestamp() AS server, (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest) AS k
CROSS JOIN unnest($2::text[], $3::text[], $4::bytea[], $5::timestamptz[])
           WITH ORDINALITY AS i (host, extension, caller_hash, at, n)
CROSS JOIN LATERAL (SELECT greatest(coalesce(i.at, k.server), k.highest) AS now) AS t
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
) AS b ON true
LEFT JOIN LATERAL (
    SELECT o.order_status FROM orders o
    WHERE o.cell = $1 AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id LIMIT 1
) AS o ON true
LEFT JOIN LATERAL (
    SELECT p.policy FROM call_policies p WHERE p.merchant_id = b.merchant_id LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    -- of several entries of a phone the strictest: robot, merchant_agent, courier
    SELECT c.class, c.verified, c.caller_group FROM callers c
    WHERE c.phone_hash = i.caller_hash AND c.merchant_id IN ('', b.merchant_id)
    ORDER BY c.class DESC, c.verified DESC LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    -- of a courier's call: whether a carrier that he is verified for carries a parcel of the order; null = it has none
    SELECT bool_or(k.caller_id IS NOT NULL) AS carries
    FROM waybills w
    LEFT JOIN callers k ON k.phone_hash = i.caller_hash AND k.class = 'courier' AND k.merchant_id IN ('', b.merchant_id)
                       AND k.carrier = w.carrier AND k.verified
    WHERE c.class = 'courier' AND w.merchant_id = b.merchant_id AND w.order_id = b.order_id
) AS w ON true
LEFT JOIN LATERAL (
    SELECT bool_or(x.scope = 'everything') AS everything, bool_or(x.scope = 'merchant') AS shop,
           bool_or(x.scope = 'caller') AS blocked
    FROM opt_outs x
    WHERE x.recipient_hash = b.recipient_hash AND x.withdrawn_at IS NULL
      AND x.merchant_id IN ('', b.merchant_id) AND x.caller_hash IN ('', i.caller_hash)
) AS x ON true
LEFT JOIN LATERAL (
    SELECT true AS listed FROM blacklist y
    WHERE y.phone_hash = i.caller_hash AND y.direction = 'caller' AND y.merchant_id IN ('', b.merchant_id) LIMIT 1
) AS y ON true
LEFT JOIN LATERAL (
    SELECT true AS listed FROM blacklist z
    WHERE z.phone_hash = b.recipient_hash AND z.direction = 'callee' AND z.merchant_id IN ('', b.merchant_id) LIMIT 1
) AS z ON true
LEFT JOIN LATERAL (
    SELECT true AS reached FROM reached r
    WHERE b.ended_at <= t.now AND r.cell = $1 AND r.binding_id = b.binding_id AND r.caller_hash = i.caller_hash LIMIT 1
) AS r ON true;

-- name: connect
-- Calls that go through, and that no cap is to judge: each one's binding for its record, who was told the number (in the
-- audit), and who reached the recipient, by which call last. $1 the hosts' cell; of calls, each once: $2 cells, $3 ids, $4
-- bindings, $5 caller hashes, $6 who is told, $7 when, $8 from when on the record is missed; $9 the audit entry's id and
-- $10 its instant.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($2::smallint[], $3::text[], $4::uuid[], $5::bytea[], $6::text[], $7::timestamptz[],
                         $8::timestamptz[])
                  AS i (call_cell, call_id, binding_id, caller_hash, actor, at, overdue_at)
), audit AS (
    INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects)
    SELECT $1, $9, $10, 'number.read', array_agg(actor), array_agg(binding_id::text) FROM item
), met AS (
    INSERT INTO reached AS r (cell, binding_id, caller_hash, call_cell, call_id, at)
    SELECT DISTINCT ON (binding_id, caller_hash) $1, binding_id, caller_hash, call_cell, call_id, at
    FROM item ORDER BY binding_id, caller_hash, at DESC
    ON CONFLICT (cell, binding_id, caller_hash) DO UPDATE
    SET call_cell = excluded.call_cell, call_id = excluded.call_id, at = excluded.at
    WHERE r.at <= excluded.at OR r.at IS NULL
)
INSERT INTO call_keys AS k (cell, call_id, binding_id, caller_hash, routed_at, overdue_at)
SELECT call_cell, call_id, binding_id, caller_hash, at, overdue_at FROM item ORDER BY call_cell, call_id
ON CONFLICT (cell, call_id) DO UPDATE
SET binding_id = excluded.binding_id, caller_hash = excluded.caller_hash, routed_at = excluded.routed_at,
    overdue_at = excluded.overdue_at, back = false
WHERE k.content IS NULL;

-- name: call_back
-- Whom a recipient may mean who dials a host without an extension: a row for each of his live bindings there (the newest
-- hundred), with the last call that was connected to him through it, and who rang then, as far as its record says so. His
-- own calls are not among those, nor what rang another phone before the binding was given his.
-- $1 cell, $2 hosts, $3 caller hashes, $4 simulated nows or nulls, $5 for how long such a call counts.
SELECT i.n, t.now, b.binding_id, b.bound_at, p.policy, m.service_number, r.call_id, r.at AS rang_at, c.caller, c.key_id,
       y.listed AS caller_listed, z.listed AS callee_listed
FROM (SELECT clock_timestamp() AS server, (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest) AS k
CROSS JOIN unnest($2::text[], $3::bytea[], $4::timestamptz[]) WITH ORDINALITY AS i (host, caller_hash, at, n)
CROSS JOIN LATERAL (SELECT greatest(coalesce(i.at, k.server), k.highest) AS now) AS t
CROSS JOIN LATERAL (
    SELECT b.binding_id, b.merchant_id, b.order_id, b.bound_at FROM bindings b
    WHERE b.cell = $1 AND b.recipient_hash = i.caller_hash AND b.host = i.host
      AND b.binding_id >= first_id(t.now - interval '4321 hours') AND b.bound_at <= t.now AND b.ended_at > t.now
    ORDER BY b.bound_at DESC, b.binding_id DESC LIMIT 100
) AS b
LEFT JOIN LATERAL (
    SELECT p.policy FROM call_policies p WHERE p.merchant_id = b.merchant_id LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    SELECT m.service_number FROM merchants m WHERE m.merchant_id = b.merchant_id LIMIT 1
) AS m ON true
LEFT JOIN LATERAL (
    SELECT max(h.changed_at) AS at FROM recipient_changes h
    WHERE h.cell = $1 AND h.merchant_id = b.merchant_id AND h.order_id = b.order_id AND h.binding_id = b.binding_id
) AS h ON true
LEFT JOIN LATERAL (
    SELECT r.call_cell, r.call_id, r.at FROM reached r
    WHERE r.cell = $1 AND r.binding_id = b.binding_id AND r.caller_hash <> i.caller_hash
      AND r.at > t.now - $5::interval AND (h.at IS NULL OR r.at > h.at)
    ORDER BY r.at DESC LIMIT 1
) AS r ON true
LEFT JOIN LATERAL (
    SELECT q.biz_at FROM call_keys q
    WHERE q.cell = r.call_cell AND q.call_id = r.call_id AND q.content IS NOT NULL LIMIT 1
) AS q ON true
LEFT JOIN LATERAL (
    SELECT c.caller, c.caller_hash, c.key_id FROM calls c
    WHERE c.cell = $1 AND c.biz_at = q.biz_at AND c.call_id = r.call_id LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    SELECT true AS listed FROM blacklist y
    WHERE y.phone_hash = i.caller_hash AND y.direction = 'caller' AND y.merchant_id IN ('', b.merchant_id) LIMIT 1
) AS y ON true
LEFT JOIN LATERAL (
    SELECT true AS listed FROM blacklist z
    WHERE z.phone_hash = c.caller_hash AND z.direction = 'callee' AND z.merchant_id IN ('', b.merchant_id) LIMIT 1
) AS z ON true;

-- name: connect_back
-- The same of calls back: who rings is the binding's recipient, who reaches himself by none. $1 the hosts' cell; of calls,
-- each once: $2 cells, $3 ids, $4 bindings, $5 who is told, $6 when, $7 from when on the record is missed; $8 the audit
-- entry's id and $9 its instant.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($2::smallint[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[])
                  AS i (call_cell, call_id, binding_id, actor, at, overdue_at)
), audit AS (
    INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects, why)
    SELECT $1, $8, $9, 'number.read', array_agg(actor), array_agg(binding_id::text), 'call back' FROM item
)
INSERT INTO call_keys AS k (cell, call_id, binding_id, routed_at, overdue_at, back)
SELECT call_cell, call_id, binding_id, at, overdue_at, true FROM item ORDER BY call_cell, call_id
ON CONFLICT (cell, call_id) DO UPDATE
SET binding_id = excluded.binding_id, caller_hash = NULL, routed_at = excluded.routed_at,
    overdue_at = excluded.overdue_at, back = true
WHERE k.content IS NULL;

-- name: file
-- What was decided of all others: a connected call's binding for its record, who was told the number (in the audit), and who reached
-- the recipient; a refused one as a try (once per call and digits), for the merchant's log, and towards a lock.
-- A call under a cap is counted first, in the recipient's one row: calls of the same moment wait for one another there,
-- and what does not come back is refused. Each refusal comes back with the tries of its call and whether it locked.
-- $1 the hosts' cell; $2 calls: no call, no capped recipient and no refused caller of a host stands in it twice; code ''
-- = connect; caps null = no cap; $3 the audit entry's id and $4 its instant.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($2::route_decided[])
), counted AS (
    INSERT INTO contacts AS c (cell, recipient_hash, instants, merchants, hour_ago, day_ago, caps)
    SELECT recipient_cell, recipient_hash, ARRAY[at], ARRAY[merchant_id], hour_ago, day_ago, caps
    FROM item WHERE code = '' AND caps IS NOT NULL ORDER BY recipient_cell, recipient_hash
    ON CONFLICT (cell, recipient_hash) DO UPDATE
    SET (instants, merchants) = (
            SELECT array_agg(u.instant), array_agg(u.merchant_id)
            FROM unnest(c.instants || excluded.instants, c.merchants || excluded.merchants) AS u (instant, merchant_id)
            WHERE u.instant > excluded.day_ago
        ), hour_ago = excluded.hour_ago, day_ago = excluded.day_ago, caps = excluded.caps
    WHERE contacts_since(c.instants, c.merchants, excluded.hour_ago, excluded.merchants[1]) < excluded.caps[1]
      AND contacts_since(c.instants, c.merchants, excluded.day_ago, excluded.merchants[1]) < excluded.caps[2]
      AND contacts_since(c.instants, c.merchants, excluded.hour_ago, NULL) < excluded.caps[3]
      AND contacts_since(c.instants, c.merchants, excluded.day_ago, NULL) < excluded.caps[4]
    RETURNING c.recipient_hash
), judged AS MATERIALIZED (
    SELECT i.*, CASE WHEN i.code = '' AND i.caps IS NOT NULL
                          AND (i.recipient_hash IN (SELECT counted.recipient_hash FROM counted)) IS NOT TRUE
                     THEN CASE WHEN o.own THEN 'calls_capped' ELSE 'calls_capped_by_all' END ELSE i.code END AS said
    FROM item AS i
    LEFT JOIN LATERAL (  -- whether the merchant's own calls come to a cap of his
        SELECT contacts_since(c.instants, c.merchants, i.hour_ago, i.merchant_id) >= i.caps[1]
            OR contacts_since(c.instants, c.merchants, i.day_ago, i.merchant_id) >= i.caps[2] AS own
        FROM contacts c WHERE i.code = '' AND i.caps IS NOT NULL
            AND c.cell = i.recipient_cell AND c.recipient_hash = i.recipient_hash LIMIT 1
    ) AS o ON true
), tried AS MATERIALIZED (
    SELECT j.*,
           1 + (SELECT count(*) FROM wrong_extensions w
                WHERE w.cell = $1 AND w.host = j.host AND w.caller_hash = j.caller_hash
                  AND w.call_id = j.call_id AND w.digits <> j.digits) AS in_call,
           CASE WHEN j.counts
                THEN 1 + (SELECT count(*) FROM wrong_extensions w
                          WHERE w.cell = $1 AND w.host = j.host AND w.caller_hash = j.caller_hash AND w.at > j.since
                            AND w.counts AND (w.call_id, w.digits) <> (j.call_id, j.digits)) >= j.most
                ELSE false END AS locks
    FROM judged AS j WHERE j.said <> ''
), noted AS (
    INSERT INTO wrong_extensions (cell, host, caller_hash, call_id, digits, at, counts)
    SELECT $1, host, caller_hash, call_id, digits, at, counts FROM tried ORDER BY host, caller_hash, call_id, digits
    ON CONFLICT (cell, host, caller_hash, call_id, digits) DO UPDATE SET at = excluded.at
), logged AS (
    INSERT INTO call_attempts (cell, attempt_id, at, call_id, binding_id, merchant_id, order_id, code, class)
    SELECT $1, attempt_id, at, call_id, binding_id, merchant_id, order_id, said, class FROM tried
), locked AS (
    INSERT INTO lockouts AS l (cell, host, caller_hash, until)
    SELECT $1, host, caller_hash, max(lock_until) FROM tried WHERE locks GROUP BY host, caller_hash
    ORDER BY host, caller_hash
    ON CONFLICT (cell, host, caller_hash) DO UPDATE SET until = greatest(l.until, excluded.until)
), audit AS (
    INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects)
    SELECT $1, $3, $4, 'number.read', array_agg(actor), array_agg(binding_id::text)
    FROM judged WHERE said = '' HAVING count(*) > 0
), met AS (
    INSERT INTO reached AS r (cell, binding_id, caller_hash, call_cell, call_id, at)
    SELECT DISTINCT ON (binding_id, caller_hash) $1, binding_id, caller_hash, call_cell, call_id, at
    FROM judged WHERE said = '' ORDER BY binding_id, caller_hash, at DESC
    ON CONFLICT (cell, binding_id, caller_hash) DO UPDATE
    SET call_cell = excluded.call_cell, call_id = excluded.call_id, at = excluded.at
    WHERE r.at <= excluded.at OR r.at IS NULL
), chosen AS (
    INSERT INTO call_keys AS k (cell, call_id, binding_id, caller_hash, routed_at, overdue_at)
    SELECT call_cell, call_id, binding_id, caller_hash, at, overdue_at
    FROM judged WHERE said = '' ORDER BY call_cell, call_id
    ON CONFLICT (cell, call_id) DO UPDATE
    SET binding_id = excluded.binding_id, caller_hash = excluded.caller_hash, routed_at = excluded.routed_at,
        overdue_at = excluded.overdue_at, back = false
    WHERE k.content IS NULL
)
SELECT n, said AS code, in_call, locks FROM tried;

-- name: contacts
-- The connected calls to a capped recipient: of a merchant since $4 and $5, of all since then. $1 the recipient's cell,
-- $2 recipient, $3 merchant.
SELECT contacts_since(c.instants, c.merchants, $4, $3) AS merchants_hour,
       contacts_since(c.instants, c.merchants, $5, $3) AS merchants_day,
       contacts_since(c.instants, c.merchants, $4, NULL) AS all_hour,
       contacts_since(c.instants, c.merchants, $5, NULL) AS all_day
FROM contacts c WHERE c.cell = $1 AND c.recipient_hash = $2;

-- name: forget_wrong_extensions
-- Those that count for no lock any more. $1 before.
DELETE FROM wrong_extensions WHERE at < $1;

-- name: forget_lockouts
DELETE FROM lockouts WHERE until < $1;

-- name: forget_contacts
-- Those that count for no cap any more. $1 before: day_ago of a row lies a day before its last call.
DELETE FROM contacts WHERE day_ago < $1;

-- name: forget_reached
-- Those of bindings that nobody is told of any more. $1 cell, $2 the first binding id to keep.
DELETE FROM reached WHERE cell = $1 AND binding_id < $2;

-- name: forget_attempts
-- Up to $3 of a cell, the oldest. $1 cell, $2 the first attempt id to keep.
DELETE FROM call_attempts WHERE cell = $1 AND attempt_id IN (
    SELECT a.attempt_id FROM call_attempts a WHERE a.cell = $1 AND a.attempt_id < $2 ORDER BY a.attempt_id LIMIT $3
);

-- name: attempts
-- A merchant's refused calls. $1 merchant, $2 from, $3 to, $4 and $5 the instant and id after which to begin, $6 how many.
SELECT at, attempt_id, call_id, binding_id, order_id, code, class
FROM call_attempts
WHERE merchant_id = $1 AND at >= greatest($2::timestamptz, $4::timestamptz) AND at < $3::timestamptz
  AND (at, attempt_id) > ($4, $5::uuid)
ORDER BY at, attempt_id LIMIT $6::int;
