-- name: lock_order
-- The order and the slot of its current binding, the slot first as extend and release do. Nothing comes back when the
-- order was bound anew while this waited, or was never bound. $1 cell, $2 merchant, $3 order.
SELECT o.binding_id, o.host, o.extension, o.order_status, o.bound_at, o.ended_at, o.released
FROM slots s
JOIN orders o ON o.cell = $1 AND o.host = s.host AND o.extension = s.extension
WHERE s.cell = $1 AND o.merchant_id = $2 AND o.order_id = $3
FOR UPDATE OF s, o;

-- name: due
-- When the binding would expire if no event had set an earlier end, or null. $1 cell, $2 binding id.
SELECT due_at FROM bindings WHERE cell = $1 AND binding_id = $2;

-- name: policy
SELECT end_after_signed_days, end_after_closed_days, max_reach_days FROM lifecycle_policy;

-- name: set_policy
-- $1 to $3 the rules, $4 now, $5 who.
INSERT INTO lifecycle_policy (end_after_signed_days, end_after_closed_days, max_reach_days, changed_at, changed_by)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (singleton) DO UPDATE
SET end_after_signed_days = excluded.end_after_signed_days, end_after_closed_days = excluded.end_after_closed_days,
    max_reach_days = excluded.max_reach_days, changed_at = excluded.changed_at, changed_by = excluded.changed_by;

-- name: parcels
-- The parcels of an order. $1 merchant, $2 order.
SELECT carrier, waybill_no, state, since FROM waybills
WHERE merchant_id = $1 AND order_id = $2 ORDER BY filed_at, carrier, waybill_no;

-- name: parcels_of_orders
-- $1 merchants, $2 orders.
SELECT i.n, w.carrier, w.waybill_no, w.state
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (merchant_id, order_id, n)
JOIN waybills w ON w.merchant_id = i.merchant_id AND w.order_id = i.order_id
ORDER BY i.n, w.filed_at, w.carrier, w.waybill_no;

-- name: events
-- What was told of an order, in the order of its happening. $1 cell, $2 merchant, $3 order.
SELECT event_id, seq, type, carrier, waybill_no, at, received_at FROM order_events
WHERE cell = $1 AND merchant_id = $2 AND order_id = $3 ORDER BY at, seq;

-- name: add_event
-- $1 cell, $2 merchant, $3 order, $4 event id, $5 seq, $6 type, $7 carrier, $8 waybill number, $9 at, $10 now, $11 who.
INSERT INTO order_events (cell, merchant_id, order_id, event_id, seq, type, carrier, waybill_no, at, received_at, told_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: rest_parcels
-- Parcels of an order that were signed for or came back, unless something later is known of them. $1 merchant, $2 order,
-- $3 state, $4 since, $5 carrier or null, $6 waybill number.
UPDATE waybills SET state = $3, since = $4
WHERE merchant_id = $1 AND order_id = $2 AND ($5::text IS NULL OR (carrier = $5 AND waybill_no = $6::text))
  AND (since IS NULL OR since <= $4);

-- name: take_parcels
-- Parcels that were filed for the wrong order. $1 cells, $2 carriers, $3 waybill numbers, $4 merchant, $5 order.
DELETE FROM waybills w USING unnest($1::smallint[], $2::text[], $3::text[]) AS i (cell, carrier, waybill_no)
WHERE w.cell = i.cell AND w.carrier = i.carrier AND w.waybill_no = i.waybill_no
  AND w.merchant_id = $4 AND w.order_id = $5
RETURNING w.carrier, w.waybill_no;

-- name: set_status
-- $1 cell, $2 merchant, $3 order, $4 status.
UPDATE orders SET order_status = $4 WHERE cell = $1 AND merchant_id = $2 AND order_id = $3;

-- name: set_end
-- Moves the end of a live binding, by its id. Its slot and order are locked already. The clock is asked once more, so
-- nothing is revived; a merchant's closed month refuses a stale clock. $1 cell, $2 now, $3 writer, $4 binding id, $5 end,
-- $6 held_until, $7 due_at or null, $8 simulated now or null.
WITH mark AS (
    INSERT INTO clocks AS c (cell, writer, instant) VALUES ($1, $3, $2)
    ON CONFLICT (cell, writer) DO UPDATE SET instant = greatest(c.instant, excluded.instant)
), was AS (
    SELECT b.binding_id, b.merchant_id, b.order_id, b.host, b.extension FROM bindings b
    WHERE b.cell = $1 AND b.binding_id = $4
      AND NOT EXISTS (SELECT FROM periods p WHERE p.merchant_id = b.merchant_id AND p.ends_at > $2)
), slot AS (
    UPDATE slots s SET ended_at = $5, held_until = $6
    FROM was
    WHERE s.cell = $1 AND s.host = was.host AND s.extension = was.extension
      AND s.binding_id = $4 AND s.ended_at > $2 AND s.ended_at > coalesce($8, statement_timestamp())
    RETURNING was.merchant_id, was.order_id
), ordered AS (
    UPDATE orders o SET ended_at = $5
    FROM slot
    WHERE o.cell = $1 AND o.merchant_id = slot.merchant_id AND o.order_id = slot.order_id AND o.binding_id = $4
)
UPDATE bindings b SET expires_at = $5, ended_at = $5, due_at = $7
FROM slot WHERE b.cell = $1 AND b.binding_id = $4
RETURNING b.binding_id;

-- name: change_recipient
-- Another phone behind a live binding, by its id; the slot remembers the recipient it had. Slot and order are locked
-- before either is written. Nothing comes back if it is not live any more, or has this recipient already. $1 cell,
-- $2 now, $3 writer, $4 binding id, $5 the key of its month, $6 sealed phone, $7 its hash, $8 its short hash, $9 simulated now or
-- null; $10 the id of the change, $11 who, $12 why.
WITH mark AS (
    INSERT INTO clocks AS c (cell, writer, instant) VALUES ($1, $3, $2)
    ON CONFLICT (cell, writer) DO UPDATE SET instant = greatest(c.instant, excluded.instant)
), live AS (
    SELECT s.host, s.extension, o.merchant_id, o.order_id
    FROM bindings b
    JOIN slots s ON s.cell = $1 AND s.host = b.host AND s.extension = b.extension
    JOIN orders o ON o.cell = $1 AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id
    WHERE b.cell = $1 AND b.binding_id = $4 AND s.binding_id = $4 AND o.binding_id = $4
      AND s.ended_at > $2 AND s.ended_at > coalesce($9, statement_timestamp())
      AND o.recipient_hash IS DISTINCT FROM $7
    FOR UPDATE OF s, o
), slot AS (
    UPDATE slots s
    SET holder_others = array_append(array_remove(s.holder_others, $8), s.holder_recipient), holder_recipient = $8
    FROM live
    WHERE s.cell = $1 AND s.host = live.host AND s.extension = live.extension
), ordered AS (
    UPDATE orders o SET recipient_hash = $7
    FROM live
    WHERE o.cell = $1 AND o.merchant_id = live.merchant_id AND o.order_id = live.order_id
), kept AS (
    INSERT INTO recipient_changes (cell, change_id, binding_id, merchant_id, order_id, changed_at, changed_by, reason)
    SELECT $1, $10, $4, merchant_id, order_id, $2, $11, $12 FROM live
)
UPDATE bindings b SET key_id = $5, recipient = $6, recipient_hash = $7
FROM live WHERE b.cell = $1 AND b.binding_id = $4
RETURNING b.binding_id;

-- name: recipient
-- Whether the order's current binding, if it is this one, has a recipient already, and whether that one wants no number.
-- $1 cell, $2 merchant, $3 order, $4 binding id, $5 the recipient's hash.
SELECT EXISTS (SELECT FROM orders WHERE cell = $1 AND merchant_id = $2 AND order_id = $3 AND binding_id = $4
                                    AND recipient_hash = $5) AS same,
       EXISTS (SELECT FROM opt_outs WHERE recipient_hash = $5 AND scope = 'everything' AND merchant_id IN ('', $2)
                                      AND withdrawn_at IS NULL) AS opted_out;

-- name: recipient_changes
-- When the phone behind an order's numbers was changed, and by whom. $1 cell, $2 merchant, $3 order.
SELECT change_id, binding_id, changed_at, changed_by, reason FROM recipient_changes
WHERE cell = $1 AND merchant_id = $2 AND order_id = $3 ORDER BY change_id;

-- name: print
-- A label was given out. $1 cell, $2 print id, $3 merchant, $4 order, $5 binding id, $6 format, $7 now, $8 who, $9 host,
-- $10 extension.
WITH last AS (
    INSERT INTO labels_out (cell, merchant_id, order_id, binding_id, host, extension, printed_at)
    VALUES ($1, $3, $4, $5, $9, $10, $7)
    ON CONFLICT (cell, merchant_id, order_id) DO UPDATE
    SET binding_id = excluded.binding_id, host = excluded.host, extension = excluded.extension,
        printed_at = excluded.printed_at
)
INSERT INTO prints (cell, print_id, merchant_id, order_id, binding_id, format, printed_at, printed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: arrived
-- No parcel of the order travels any more: what is printed on them matters to nobody. $1 cell, $2 merchant, $3 order.
DELETE FROM labels_out WHERE cell = $1 AND merchant_id = $2 AND order_id = $3;

-- name: stale
-- Labels out there whose number lapsed, was replaced, or lapses before $2, while a parcel travels; in order of merchant
-- and order, behind ($3, $4). $1 now, $5 the merchants to look at or null, $6 carrier or null, $7 the statuses of orders
-- that are under way though no parcel of theirs is known, $8 the statuses whose number the reader may read, $9 how many.
SELECT l.merchant_id, l.order_id, l.binding_id, l.host, l.extension, l.printed_at, o.order_status, o.ended_at,
       o.binding_id <> l.binding_id AS replaced, o.released, $1::timestamptz AS now
FROM labels_out l
JOIN orders o ON o.cell = l.cell AND o.merchant_id = l.merchant_id AND o.order_id = l.order_id
WHERE (l.merchant_id, l.order_id) > ($3::text, $4::text)
  AND ($5::text[] IS NULL OR l.merchant_id = ANY ($5))
  AND (o.binding_id <> l.binding_id OR o.ended_at <= $2::timestamptz)
  AND o.order_status = ANY ($8::text[])
  AND CASE WHEN EXISTS (SELECT FROM waybills w WHERE w.merchant_id = l.merchant_id AND w.order_id = l.order_id)
           THEN EXISTS (SELECT FROM waybills w
                        WHERE w.merchant_id = l.merchant_id AND w.order_id = l.order_id AND w.state = 'travelling'
                          AND ($6::text IS NULL OR w.carrier = $6))
           ELSE $6::text IS NULL AND o.order_status = ANY ($7::text[]) END
ORDER BY l.merchant_id, l.order_id LIMIT $9::int;
