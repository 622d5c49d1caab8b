-- Statements of the hot path must be fast from the first row on, whatever the planner believes of a table that was
-- empty when the plan was made. So rows are looked up by LATERAL (... LIMIT 1), which only an index probe can serve,
-- and what a data-modifying CTE gave back is matched by `(id IN (SELECT ...)) IS TRUE`, which is a hash look-up.

-- name: before_bind
-- What a bind must know before it takes a slot: the clock, and for each order its current binding
-- whether its merchant may bind, up to what amount, and whether its recipient wants no number. $1 cell, $2 simulated now
-- or null, $3 merchants, $4 orders, $5 keyed hashes of recipients.
SELECT i.n, c.server_now, c.highest, m.state AS merchant_state, m.spend_cap, m.spend_alert,
       o.binding_id, o.host, o.extension, o.mode, o.bound_at, o.ended_at, o.released, o.recipient_hash,
       o.order_status, x.opted_out, o.first_bound_at, c.max_reach_days
FROM (SELECT coalesce($2, clock_timestamp()) AS server_now,
             (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest,
             (SELECT max_reach_days FROM lifecycle_policy) AS max_reach_days) AS c
CROSS JOIN unnest($3::text[], $4::text[], $5::bytea[])
           WITH ORDINALITY AS i (merchant_id, order_id, recipient_hash, n)
LEFT JOIN LATERAL (
    SELECT m.state, m.spend_cap, m.spend_alert FROM merchants m WHERE m.merchant_id = i.merchant_id LIMIT 1
) AS m ON true
LEFT JOIN LATERAL (
    SELECT * FROM orders o
    WHERE o.cell = $1 AND o.merchant_id = i.merchant_id AND o.order_id = i.order_id LIMIT 1
) AS o ON true
LEFT JOIN LATERAL (
    SELECT true AS opted_out FROM opt_outs x
    WHERE x.recipient_hash = i.recipient_hash AND x.scope = 'everything' AND x.merchant_id IN ('', i.merchant_id)
      AND x.withdrawn_at IS NULL LIMIT 1
) AS x ON true;

-- name: bind
-- Three writes chained by RETURNING: slots decide, then orders, and only what both gave is bound.
-- A slot still held, or last held by this order or recipient, does not come back; nor does an item
-- whose merchant's month is closed at $2 (a stale clock), or whose host is not active. A slot whose
-- order was bound by another meanwhile is noted in orphans by the same commit.
-- $1 cell, $2 now, $3 writer, $4 key id, $5 to $15 an array a column; the last of them, term, says which of the terms
-- ($16 to $23, an array a column too) a row has: most rows of a batch share theirs. $24 the statuses of an order in their
-- order: a late message does not take one back. $25 the id of the batch's audit entry.
WITH item AS MATERIALIZED (
    SELECT i.*, ($16::text[])[term] AS mode, ($17::text[])[term] AS city, ($18::bool[])[term] AS city_strict,
           ($19::smallint[])[term] AS ttl_days, ($20::text[])[term] AS order_status,
           ($21::timestamptz[])[term] AS expires_at, ($22::timestamptz[])[term] AS held_until,
           ($23::text[])[term] AS actor
    FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[],
                $12::bytea[], $13::bytea[], $14::bytea[], $15::smallint[])
         AS i (binding_id, host, extension, merchant_id, order_id, holder_order, holder_recipient,
               recipient, recipient_hash, recipient_name, term)
    WHERE (SELECT h.state FROM hosts h WHERE h.host = i.host) = 'active'
      AND (SELECT p.ends_at FROM periods p WHERE p.merchant_id = i.merchant_id AND p.ends_at > $2 LIMIT 1) IS NULL
), mark AS (
    INSERT INTO clocks AS c (cell, writer, instant) VALUES ($1, $3, $2)
    ON CONFLICT (cell, writer) DO UPDATE SET instant = greatest(c.instant, excluded.instant)
), slot AS (
    INSERT INTO slots AS s (cell, host, extension, binding_id, ended_at, held_until, holder_order, holder_recipient)
    SELECT $1, host, extension, binding_id, expires_at, held_until, holder_order, holder_recipient
    FROM item ORDER BY host, extension
    ON CONFLICT (cell, host, extension) DO UPDATE
    SET binding_id = excluded.binding_id, ended_at = excluded.ended_at, held_until = excluded.held_until,
        holder_order = excluded.holder_order, holder_recipient = excluded.holder_recipient,
        former_order = s.holder_order, former_recipient = s.holder_recipient,
        holder_others = NULL, former_others = s.holder_others
    WHERE s.held_until <= $2
      AND s.holder_order IS DISTINCT FROM excluded.holder_order
      AND s.holder_recipient IS DISTINCT FROM excluded.holder_recipient
      AND (excluded.holder_recipient = ANY (s.holder_others)) IS NOT TRUE
    RETURNING s.binding_id
), won AS (
    INSERT INTO orders AS o (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status,
                             recipient_hash, bound_at, ended_at, first_bound_at)
    SELECT $1, merchant_id, order_id, binding_id, host, extension, mode, order_status,
           recipient_hash, $2, expires_at, $2
    FROM item WHERE (binding_id IN (SELECT slot.binding_id FROM slot)) IS TRUE ORDER BY merchant_id, order_id
    ON CONFLICT (cell, merchant_id, order_id) DO UPDATE
    SET binding_id = excluded.binding_id, host = excluded.host, extension = excluded.extension,
        mode = excluded.mode, recipient_hash = excluded.recipient_hash,
        order_status = CASE WHEN array_position($24::text[], o.order_status)
                                 > array_position($24::text[], excluded.order_status)
                            THEN o.order_status ELSE excluded.order_status END,
        bound_at = excluded.bound_at, ended_at = excluded.ended_at, released = false
    WHERE o.ended_at <= $2
    RETURNING o.binding_id
), bound AS (
    INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city, city_strict,
                          ttl_days, bound_at, expires_at, ended_at, key_id, recipient, recipient_hash,
                          recipient_name)
    SELECT $1, binding_id, merchant_id, order_id, host, extension, mode, city, city_strict,
           ttl_days, $2, expires_at, expires_at, $4, recipient, recipient_hash, recipient_name
    FROM item WHERE (binding_id IN (SELECT won.binding_id FROM won)) IS TRUE ORDER BY binding_id
), audit AS (
    INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects)
    SELECT $1, $25, $2, 'binding.bound', array_agg(actor), array_agg(binding_id::text)
    FROM item WHERE (binding_id IN (SELECT won.binding_id FROM won)) IS TRUE HAVING count(*) > 0
), lost AS (
    INSERT INTO orphans (cell, binding_id, host, extension)
    SELECT $1, binding_id, host, extension FROM item
    WHERE (binding_id IN (SELECT slot.binding_id FROM slot)) IS TRUE
      AND (binding_id IN (SELECT won.binding_id FROM won)) IS NOT TRUE
)
SELECT slot.binding_id, (slot.binding_id IN (SELECT won.binding_id FROM won)) AS bound FROM slot;

-- name: free_orphans
-- Gives back the slots whose orders lost a race, each by its binding id, with the memory of their
-- former holder. $1 cell, $2 now.
WITH orphan AS (
    DELETE FROM orphans WHERE cell = $1 RETURNING binding_id, host, extension
)
UPDATE slots s
SET ended_at = $2, held_until = $2, holder_order = s.former_order, holder_recipient = s.former_recipient,
    holder_others = s.former_others
FROM orphan o
WHERE s.cell = $1 AND s.host = o.host AND s.extension = o.extension AND s.binding_id = o.binding_id
RETURNING s.host, s.extension;

-- name: held_slots
-- What PostgreSQL says of slots that did not come back from bind. $1 cell, $2 hosts, $3 extensions.
SELECT s.host, s.extension, s.held_until
FROM unnest($2::text[], $3::text[]) AS i (host, extension)
CROSS JOIN LATERAL (
    SELECT * FROM slots s WHERE s.cell = $1 AND s.host = i.host AND s.extension = i.extension LIMIT 1
) AS s;

-- name: bound_ids
-- After a lost connection: which of these bindings are their orders' current ones.
-- $1 cell, $2 merchants, $3 orders, $4 binding ids.
SELECT o.binding_id
FROM unnest($2::text[], $3::text[], $4::uuid[]) AS i (merchant_id, order_id, binding_id)
CROSS JOIN LATERAL (
    SELECT o.binding_id FROM orders o
    WHERE o.cell = $1 AND o.merchant_id = i.merchant_id AND o.order_id = i.order_id LIMIT 1
) AS o
WHERE o.binding_id = i.binding_id;

-- name: session_open
-- After a lost connection: whether the session may still be at work. $1 its process.
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1);

-- name: advance_status
-- The order moved on (shipped, signed, ...) while its binding stays as it is; a late message does not take it back.
-- $1 cell, $2 merchants, $3 orders, $4 statuses, $5 the statuses of an order in their order.
UPDATE orders o SET order_status = i.order_status
FROM unnest($2::text[], $3::text[], $4::text[]) AS i (merchant_id, order_id, order_status)
WHERE o.cell = $1 AND o.merchant_id = i.merchant_id AND o.order_id = i.order_id
  AND array_position($5::text[], o.order_status) < array_position($5::text[], i.order_status);

-- name: file_waybills
-- Parcels of orders; one that is known stays as it is. $1 cells, $2 carriers, $3 waybill numbers, $4 merchants, $5 orders,
-- $6 now.
INSERT INTO waybills (cell, carrier, waybill_no, merchant_id, order_id, filed_at)
SELECT i.cell, i.carrier, i.waybill_no, i.merchant_id, i.order_id, $6
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS i (cell, carrier, waybill_no, merchant_id, order_id)
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (cell, carrier, waybill_no, merchant_id, order_id) DO NOTHING;

-- name: known_waybills
-- Which of these parcels are of their orders already. $1 cells, $2 carriers, $3 waybill numbers, $4 merchants, $5 orders.
SELECT i.n
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS i (cell, carrier, waybill_no, merchant_id, order_id, n)
CROSS JOIN LATERAL (
    SELECT FROM waybills w
    WHERE w.cell = i.cell AND w.carrier = i.carrier AND w.waybill_no = i.waybill_no
      AND w.merchant_id = i.merchant_id AND w.order_id = i.order_id LIMIT 1
) AS w;

-- name: binding
-- One binding and the clock. $1 cell, $2 binding id, $3 simulated now or null.
SELECT coalesce($3, clock_timestamp()) AS server_now,
       (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest,
       b.binding_id, b.merchant_id, b.order_id, b.host, b.extension, b.mode, b.bound_at, b.expires_at,
       b.ended_at, b.release_reason, (SELECT max_reach_days FROM lifecycle_policy) AS max_reach_days,
       (SELECT o.first_bound_at FROM orders o
        WHERE o.cell = $1 AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id) AS first_bound_at
FROM (SELECT) AS always
LEFT JOIN bindings b ON b.cell = $1 AND b.binding_id = $2;

-- name: extend
-- While live, by its binding id. Slot and order are locked before either is written, so an order that was bound
-- anew meanwhile keeps its new binding; and the clock is asked once more, so a slow worker revives nothing.
-- A merchant's closed month refuses a stale clock. $1 cell, $2 now, $3 writer, $4 binding id, $5 the expiry
-- that was read, $6 new expiry, $7 new held_until, $8 simulated now or null.
WITH mark AS (
    INSERT INTO clocks AS c (cell, writer, instant) VALUES ($1, $3, $2)
    ON CONFLICT (cell, writer) DO UPDATE SET instant = greatest(c.instant, excluded.instant)
), live AS (
    SELECT s.host, s.extension, o.merchant_id, o.order_id
    FROM bindings b
    JOIN slots s ON s.cell = $1 AND s.host = b.host AND s.extension = b.extension
    JOIN orders o ON o.cell = $1 AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id
    WHERE b.cell = $1 AND b.binding_id = $4 AND s.binding_id = $4 AND o.binding_id = $4
      AND s.ended_at = $5 AND s.ended_at > $2 AND s.ended_at > coalesce($8, statement_timestamp())
      AND NOT EXISTS (SELECT FROM periods p WHERE p.merchant_id = b.merchant_id AND p.ends_at > $2)
      AND (SELECT h.state FROM hosts h WHERE h.host = b.host) <> 'locked'
    FOR UPDATE OF s, o
), slot AS (
    UPDATE slots s SET ended_at = $6, held_until = $7
    FROM live
    WHERE s.cell = $1 AND s.host = live.host AND s.extension = live.extension
), ordered AS (
    UPDATE orders o SET ended_at = $6
    FROM live
    WHERE o.cell = $1 AND o.merchant_id = live.merchant_id AND o.order_id = live.order_id
)
UPDATE bindings b SET expires_at = $6, ended_at = $6
FROM live WHERE b.cell = $1 AND b.binding_id = $4
RETURNING b.binding_id;

-- name: release
-- The slot first, by its binding id and while live; the rest only where it came back, and the event for who listens.
-- $1 cell, $2 now, $3 writer, $4 binding id, $5 held_until, $6 reason.
WITH mark AS (
    INSERT INTO clocks AS c (cell, writer, instant) VALUES ($1, $3, $2)
    ON CONFLICT (cell, writer) DO UPDATE SET instant = greatest(c.instant, excluded.instant)
), was AS (
    SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension, b.bound_at, b.expires_at FROM bindings b
    WHERE b.cell = $1 AND b.binding_id = $4
      AND NOT EXISTS (SELECT FROM periods p WHERE p.merchant_id = b.merchant_id AND p.ends_at > $2)
), slot AS (
    UPDATE slots s SET ended_at = $2, held_until = $5
    FROM was
    WHERE s.cell = $1 AND s.host = was.host AND s.extension = was.extension
      AND s.binding_id = $4 AND s.ended_at > $2
    RETURNING was.merchant_id, was.order_id, was.host, was.extension, was.bound_at, was.expires_at
), ordered AS (
    UPDATE orders o SET ended_at = $2, released = true
    FROM slot
    WHERE o.cell = $1 AND o.merchant_id = slot.merchant_id AND o.order_id = slot.order_id
      AND o.binding_id = $4
    RETURNING o.order_status
), told AS (
    INSERT INTO webhook_deliveries (cell, webhook_id, event_id, merchant_id, event, subject, at, due_at, data)
    SELECT $1, w.webhook_id, event_id($1, $2, 0, 'binding.released' || $4::uuid), slot.merchant_id, 'binding.released',
           $4::uuid, $2,
           $2, binding_event($4::uuid, slot.merchant_id, slot.order_id, slot.host, slot.extension,
                             may_read_number(w.role, (SELECT order_status FROM ordered)), slot.bound_at, slot.expires_at,
                             $2, 'binding_released')
    FROM slot CROSS JOIN LATERAL listeners('binding.released', slot.merchant_id, $2) AS w
    ON CONFLICT DO NOTHING
)
UPDATE bindings b SET ended_at = $2, release_reason = $6
FROM slot WHERE b.cell = $1 AND b.binding_id = $4
RETURNING b.binding_id;

-- name: labels
-- The current (or last) number of many orders of one cell. $1 cell, $2 simulated now or null, $3 merchants, $4 orders.
SELECT i.n, c.now, o.binding_id, o.merchant_id, o.order_id, o.host, o.extension, o.mode, o.order_status,
       o.bound_at, o.ended_at, o.released
FROM (SELECT greatest(coalesce($2, clock_timestamp()),
                      (SELECT max(instant) FROM clocks WHERE cell = $1)) AS now) AS c
CROSS JOIN unnest($3::text[], $4::text[]) WITH ORDINALITY AS i (merchant_id, order_id, n)
LEFT JOIN LATERAL (
    SELECT o.binding_id, o.merchant_id, o.order_id, o.host, o.extension, o.mode, o.order_status, o.bound_at, o.ended_at,
           o.released
    FROM orders o
    WHERE o.cell = $1 AND o.merchant_id = i.merchant_id AND o.order_id = i.order_id LIMIT 1
) AS o ON true;

-- name: waybills
-- The orders that each parcel carries, the newest first, 50 at most. $1 cells, $2 carriers, $3 waybill numbers.
SELECT i.n, w.merchant_id, w.order_id, w.filed_at, w.state, w.since
FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS i (cell, carrier, waybill_no, n)
CROSS JOIN LATERAL (
    SELECT * FROM waybills w
    WHERE w.cell = i.cell AND w.carrier = i.carrier AND w.waybill_no = i.waybill_no
    ORDER BY w.filed_at DESC, w.filing DESC LIMIT 50
) AS w;

-- name: carried_orders
-- Which of these orders have a parcel with the carrier. $1 carrier, $2 merchants, $3 orders.
SELECT i.n
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS i (merchant_id, order_id, n)
WHERE EXISTS (SELECT FROM waybills w
              WHERE w.carrier = $1 AND w.merchant_id = i.merchant_id AND w.order_id = i.order_id);

-- name: alike
-- Which of these orders have the recipient of the first; unknown ones count as his. $1 cells, $2 merchants, $3 orders.
WITH asked AS (
    SELECT i.n, o.recipient_hash
    FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS i (cell, merchant_id, order_id, n)
    LEFT JOIN orders o ON o.cell = i.cell AND o.merchant_id = i.merchant_id AND o.order_id = i.order_id
)
SELECT n FROM asked WHERE (recipient_hash = (SELECT f.recipient_hash FROM asked f WHERE f.n = 1)) IS NOT FALSE;

-- name: last_recipient
-- What a re-issue repeats. $1 cell, $2 binding id.
SELECT binding_id, merchant_id, order_id, mode, city, city_strict, ttl_days, key_id, recipient, recipient_name
FROM bindings WHERE cell = $1 AND binding_id = $2;
