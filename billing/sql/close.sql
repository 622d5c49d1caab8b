-- Closing a period; the steps are told in billing/close.py. Temporary tables begin with close_.

-- name: clock
-- The instant of the close: the one given ($1, a simulated clock), else the server's.
SELECT coalesce($1::timestamptz, clock_timestamp())

-- name: try_lock
-- One close at a time in this schema. Tried again and again, never waited for in a statement: a session that waits in
-- one has a running transaction, and the close that holds the lock would wait for that in turn.
SELECT pg_try_advisory_lock(hashtextextended('billing close in ' || current_schema(), 0))

-- name: unlock
-- Let the next close in.
SELECT pg_advisory_unlock(hashtextextended('billing close in ' || current_schema(), 0))

-- name: lift_limits
-- The session's limits are made for the hot path; a close reads a whole month, and sums it for many merchants in memory.
SELECT set_config('statement_timeout', '0', false), set_config('work_mem', '64MB', false)

-- name: restore_limits
-- Back to what the session began with.
RESET statement_timeout;
RESET work_mem

-- name: merchant_exists
-- $1 merchant.
SELECT EXISTS (SELECT 1 FROM usage_accounts WHERE merchant_id = $1)

-- name: drop_pending
-- What an earlier close on this session left.
DROP TABLE IF EXISTS pg_temp.close_pending, pg_temp.close_windows, pg_temp.close_lines, pg_temp.close_late

-- name: collect_pending
-- The merchants to close: opened before the period's end and not closed yet. $1 period, $2 its end, $3 merchants or null
-- for all.
CREATE TEMPORARY TABLE close_pending AS
SELECT a.merchant_id, a.opened_at, a.invoice_title, a.tax_no
FROM usage_accounts a
WHERE a.opened_at < $2::timestamptz
  AND ($3::text[] IS NULL OR a.merchant_id = ANY ($3))
  AND NOT EXISTS (SELECT 1 FROM closes c WHERE c.merchant_id = a.merchant_id AND c.period = $1::date)

-- name: index_pending
-- For the chunks, and so that the planner knows how few or many there are.
CREATE UNIQUE INDEX ON close_pending (merchant_id);
ANALYZE close_pending

-- name: out_of_order
-- Merchants whose month before has no completed close although they were open then; as months close in order, the month
-- before stands for all. $1 the previous period, $2 the start of this one. At most 10 names, and how many in all.
SELECT merchant_id, count(*) OVER () AS merchants
FROM close_pending m
WHERE m.opened_at < $2::timestamptz
  AND NOT EXISTS (SELECT 1 FROM closes c WHERE c.merchant_id = m.merchant_id AND c.period = $1::date)
ORDER BY merchant_id LIMIT 10

-- name: collect_windows
-- Which tariff version prices what begins when, for every pending merchant. $1, $2 the window.
CREATE TEMPORARY TABLE close_windows AS
SELECT w.*
FROM (SELECT array_agg(merchant_id) AS merchants, array_agg(opened_at) AS opened FROM close_pending) m
CROSS JOIN LATERAL priced_windows(m.merchants, m.opened, $1::timestamptz, $2::timestamptz) w

-- name: drop_windows
-- To collect them again.
DROP TABLE IF EXISTS pg_temp.close_windows

-- name: index_windows
-- For the joins, and so that the planner knows how many there are.
CREATE INDEX ON close_windows (merchant_id, starts_at);
ANALYZE close_windows

-- name: without_tariff
-- Merchants of whose time in the window, $1 to $2, a part has no price: a day or a call that began there could not be
-- charged.
SELECT m.merchant_id, count(*) OVER () AS merchants
FROM close_pending m
WHERE (SELECT coalesce(sum(w.ends_at - greatest(w.starts_at, m.opened_at)), '0') FROM close_windows w
       WHERE w.merchant_id = m.merchant_id AND w.ends_at > m.opened_at)
      < $2::timestamptz - greatest(m.opened_at, $1::timestamptz)
ORDER BY merchant_id LIMIT 10

-- name: mark
-- Tell the writers that the month is closed. $1 period, $2 its end, $3 now. In order of the key: no deadlocks.
INSERT INTO periods (merchant_id, period, ends_at, marked_at)
SELECT merchant_id, $1::date, $2::timestamptz, $3::timestamptz FROM close_pending ORDER BY merchant_id
ON CONFLICT (merchant_id, period) DO NOTHING

-- name: collect_lines
-- The lines of all pending merchants, each usage relation read once. $1, $2 the window.
-- Rental: a day is priced by the window of the merchant in which it starts (rule 6.10). Calls: rated when they arrived;
-- summed by what they were rated with. Free minutes (rule 6.12): those of the window in which the month begins, or in
-- which the merchant was opened, taken by his calls in order of their answer, in whole units; the calls are read once
-- more for the merchants who have any.
CREATE TEMPORARY TABLE close_lines AS
WITH rental AS (
    SELECT w.merchant_id, w.starts_at, count(*) FILTER (WHERE d.days > 0) AS bindings, sum(d.days) AS days
    FROM usage_rentals r
    JOIN close_windows w ON w.merchant_id = r.merchant_id
    CROSS JOIN LATERAL (SELECT charged_days(w.rental_count, r.bound_at, r.ended_at, w.starts_at, w.ends_at) AS days) d
    WHERE r.bound_at < $2::timestamptz AND (r.ended_at > $1::timestamptz OR r.bound_at >= $1::timestamptz)
    GROUP BY w.merchant_id, w.starts_at
), calls AS (
    SELECT c.merchant_id, c.tariff_id, c.tariff_version, c.rate, c.unit_s, c.setup_fee,
           count(*) AS calls, sum(c.units) AS units, sum(c.cost) AS amount
    FROM usage_calls c
    JOIN close_pending m ON m.merchant_id = c.merchant_id
    WHERE c.answered_at >= $1::timestamptz AND c.answered_at < $2::timestamptz AND NOT c.late
    GROUP BY c.merchant_id, c.tariff_id, c.tariff_version, c.rate, c.unit_s, c.setup_fee
), allowance AS (
    SELECT DISTINCT ON (merchant_id) merchant_id, free_minutes * 60::bigint AS free_s
    FROM close_windows WHERE ends_at > opened_at ORDER BY merchant_id, starts_at
), talk AS (
    SELECT c.merchant_id, c.tariff_id, c.tariff_version, c.rate, c.unit_s, c.units, a.free_s - coalesce(
               sum(c.units * c.unit_s) OVER (PARTITION BY c.merchant_id ORDER BY c.answered_at, c.call_id COLLATE "C"
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS left_s
    FROM allowance a
    JOIN usage_calls c ON c.merchant_id = a.merchant_id
    WHERE a.free_s > 0 AND c.answered_at >= $1::timestamptz AND c.answered_at < $2::timestamptz AND NOT c.late
), free AS (
    SELECT merchant_id, tariff_id, tariff_version, rate, unit_s,
           count(*) AS calls, sum(least(units, left_s / unit_s)) AS units
    FROM talk WHERE left_s >= unit_s
    GROUP BY merchant_id, tariff_id, tariff_version, rate, unit_s
), lines AS (
    SELECT r.merchant_id, CASE w.rental_count WHEN 'calendar_day' THEN 'calendar_day' ELSE 'rental_day' END AS kind,
           w.tariff_id, w.version, w.rental_day AS rate, NULL::integer AS unit_s, w.starts_at, w.ends_at,
           r.bindings AS count, r.days AS quantity, w.rental_day * r.days AS amount
    FROM rental r
    JOIN close_windows w ON w.merchant_id = r.merchant_id AND w.starts_at = r.starts_at
    WHERE r.days > 0
    UNION ALL
    SELECT merchant_id, 'call', tariff_id, tariff_version, rate, unit_s, $1, $2, calls, units,
           amount - setup_fee * calls
    FROM calls
    UNION ALL
    SELECT merchant_id, 'call_setup', tariff_id, tariff_version, setup_fee, NULL, $1, $2, calls, calls, setup_fee * calls
    FROM calls WHERE setup_fee > 0
    UNION ALL
    SELECT merchant_id, 'free_minutes', tariff_id, tariff_version, rate, unit_s, $1, $2, calls, -units, -units * rate
    FROM free
)
SELECT l.*, t.tax_mode, t.tax_rate
FROM lines l
JOIN tariffs t ON t.tariff_id = l.tariff_id AND t.version = l.version

-- name: collect_late
-- Calls that arrived for a closed month and that no invoice has taken yet, of this period or any before. $1, $2 the
-- window. They go on the next invoice there will be: not on the draft of a month while the month before is open.
CREATE TEMPORARY TABLE close_late AS
SELECT c.merchant_id, c.call_id, (c.answered_at AT TIME ZONE 'Asia/Shanghai')::date AS biz_date, c.order_id, c.binding_id,
       c.answered_at, c.released_at, c.seconds, c.minutes, c.units, c.unit_s, c.setup_fee, c.tariff_id, c.tariff_version,
       c.rate, c.cost AS amount, t.tax_mode, t.tax_rate
FROM usage_calls c
JOIN close_pending m ON m.merchant_id = c.merchant_id
JOIN tariffs t ON t.tariff_id = c.tariff_id AND t.version = c.tariff_version
WHERE c.late AND c.answered_at < $2::timestamptz
  AND (m.opened_at >= $1::timestamptz OR EXISTS (
      SELECT 1 FROM closes p WHERE p.merchant_id = m.merchant_id
          AND p.period = ($1::timestamptz AT TIME ZONE 'Asia/Shanghai' - interval '1 month')::date))
  AND NOT EXISTS (
      SELECT 1 FROM invoice_adjustments a WHERE a.merchant_id = c.merchant_id AND a.call_id = c.call_id)

-- name: index_collected
-- For the chunks.
CREATE INDEX ON close_lines (merchant_id);
CREATE INDEX ON close_late (merchant_id);
ANALYZE close_lines;
ANALYZE close_late

-- name: pending_count
-- For the progress.
SELECT count(*) FROM close_pending

-- name: chunk
-- The next merchants in order, each with what is carried over: the rest of the last invoice, and of the notes issued since
-- whose rest no invoice has taken. $1 the last merchant done ('' at first), $2 the period, $3 how many.
SELECT m.merchant_id, m.invoice_title, m.tax_no, coalesce(i.carried_out, 0) + n.carried_out AS carried_in, n.note_numbers
FROM (SELECT * FROM close_pending WHERE merchant_id > $1 ORDER BY merchant_id LIMIT $3::integer) m
LEFT JOIN LATERAL (
    SELECT carried_out FROM invoices
    WHERE merchant_id = m.merchant_id AND period < $2::date ORDER BY period DESC LIMIT 1) i ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum(o.carried_out), 0) AS carried_out, coalesce(array_agg(o.note_number), '{}') AS note_numbers
    FROM notes o
    WHERE o.merchant_id = m.merchant_id
      AND NOT EXISTS (SELECT FROM note_carries c WHERE c.note_number = o.note_number)) n
ORDER BY m.merchant_id

-- name: chunk_lines
-- The lines of some merchants. $1 merchants.
SELECT merchant_id, kind, tariff_id, version AS tariff_version, rate, unit_s, tax_mode, tax_rate, starts_at, ends_at, count,
       quantity::bigint, amount
FROM close_lines
WHERE merchant_id = ANY ($1::text[])
ORDER BY merchant_id, array_position(ARRAY['rental_day', 'calendar_day', 'call', 'call_setup', 'free_minutes'], kind),
         starts_at, tariff_id, version, unit_s, rate

-- name: chunk_late
-- The sums of their late calls, by tax. $1 merchants.
SELECT merchant_id, tax_mode, tax_rate, count(*) AS count, sum(amount) AS amount
FROM close_late
WHERE merchant_id = ANY ($1::text[])
GROUP BY merchant_id, tax_mode, tax_rate
ORDER BY merchant_id, tax_mode, tax_rate

-- name: take_serials
-- Take $3 numbers of the series ($1 issuer, $2 year) and return the last of them. The row stays locked until the
-- invoices are committed with it, so a number is never lost and never given twice.
INSERT INTO invoice_serials AS s (issuer, year, last_serial) VALUES ($1::text, $2::integer, $3::bigint)
ON CONFLICT (issuer, year) DO UPDATE SET last_serial = s.last_serial + $3
RETURNING last_serial

-- name: insert_adjustments
-- Put the late calls of merchants $1 on their invoices $2; they go from table to table, however many there are.
-- Returns count and sum for each invoice.
WITH taken AS (
    INSERT INTO invoice_adjustments (merchant_id, call_id, invoice_number, biz_date, order_id, binding_id, answered_at,
        released_at, seconds, minutes, units, unit_s, setup_fee, tariff_id, tariff_version, rate, amount, tax_mode,
        tax_rate)
    SELECT l.merchant_id, l.call_id, i.invoice_number, l.biz_date, l.order_id, l.binding_id, l.answered_at,
        l.released_at, l.seconds, l.minutes, l.units, l.unit_s, l.setup_fee, l.tariff_id, l.tariff_version, l.rate,
        l.amount, l.tax_mode, l.tax_rate
    FROM close_late l
    JOIN unnest($1::text[], $2::text[]) AS i (merchant_id, invoice_number) ON i.merchant_id = l.merchant_id
    ORDER BY l.merchant_id, l.call_id
    RETURNING invoice_number, amount
)
SELECT invoice_number, count(*) AS count, sum(amount) AS amount FROM taken GROUP BY invoice_number

-- name: closed
-- How many merchants' closes of the period are complete, and how many of those have an invoice. $1 period, $2 one
-- merchant or null.
SELECT count(*) AS merchants, count(invoice_number) AS invoices
FROM closes
WHERE period = $1::date AND ($2::text IS NULL OR merchant_id = $2)

-- name: insert_invoices
-- Heads of invoices, an array a column.
INSERT INTO invoices (invoice_number, issuer, year, serial, merchant_id, period, invoice_title, tax_no, closed_at,
    adjustments_count, adjustments_total, total_exact, tax_exact, carried_in, balance, amount_due, carried_out)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::date[], $7::text[],
    $8::text[], $9::timestamptz[], $10::bigint[], $11::numeric[], $12::numeric[], $13::numeric[], $14::numeric[],
    $15::numeric[], $16::numeric[], $17::numeric[])

-- name: insert_lines
-- Their lines, an array a column.
INSERT INTO invoice_lines (invoice_number, line_no, item, kind, tariff_id, tariff_version, rate, unit_s, tax_mode,
    tax_rate, starts_at, ends_at, count, quantity, amount)
SELECT * FROM unnest($1::text[], $2::integer[], $3::smallint[], $4::text[], $5::text[], $6::integer[], $7::numeric[],
    $8::integer[], $9::text[], $10::numeric[], $11::timestamptz[], $12::timestamptz[], $13::bigint[], $14::bigint[],
    $15::numeric[])

-- name: insert_taxes
-- Their shares by tax, an array a column.
INSERT INTO invoice_taxes (invoice_number, tax_mode, tax_rate, base, late_count, late_base, added)
SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[], $5::bigint[], $6::numeric[], $7::numeric[])

-- name: insert_carries
-- Which invoice takes the rest of which note. $1 notes, $2 invoices.
INSERT INTO note_carries (note_number, invoice_number)
SELECT * FROM unnest($1::text[], $2::text[])

-- name: insert_closes
-- Completed closes, an array a column.
INSERT INTO closes (merchant_id, period, invoice_number, closed_at)
SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::timestamptz[])
