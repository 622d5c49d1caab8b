-- What a date costs, charge by charge; the rows are told in billing/daily.py.

-- name: page
-- The charges of one date in a stable order, some of them or ($7 null) all, each with the count and the sum of them all;
-- where there is none, one row without a charge. $1 merchants or null for all, $2 the start of the month, $3 and $4 the
-- date, $5 up to when rental days are charged (the date's end, or now), $6 how long a rental can be, or null,
-- $7 how many rows, $8 behind how many.
-- Usage is looked up merchant by merchant (OFFSET 0 keeps the planner to that), so that an index by merchant and time
-- serves. Free minutes as in close.sql.
WITH account AS MATERIALIZED (
    SELECT merchant_id, opened_at FROM usage_accounts WHERE $1::text[] IS NULL OR merchant_id = ANY ($1)
), windows AS MATERIALIZED (
    SELECT w.*
    FROM (SELECT array_agg(merchant_id) AS merchants, array_agg(opened_at) AS opened FROM account) m
    CROSS JOIN LATERAL priced_windows(m.merchants, m.opened, $2::timestamptz, $4::timestamptz) w
), rental AS (
    SELECT w.merchant_id, 0 AS bill_item, d.days AS bill_duration, w.rental_day * d.days AS cost, r.order_id, r.binding_id,
           NULL::text AS call_id, r.bound_at AS began_at, w.starts_at
    FROM (SELECT merchant_id, rental_count, rental_day, greatest(starts_at, $3::timestamptz) AS starts_at,
                 least(ends_at, $5::timestamptz) AS ends_at
          FROM windows) w
    CROSS JOIN LATERAL (
        SELECT u.order_id, u.binding_id, u.bound_at, u.ended_at FROM usage_rentals u
        WHERE u.merchant_id = w.merchant_id AND u.bound_at < w.ends_at
          AND u.bound_at >= coalesce(w.starts_at - $6::interval, '-infinity')
          AND (u.ended_at > w.starts_at OR u.bound_at >= w.starts_at)
        OFFSET 0
    ) r
    CROSS JOIN LATERAL (SELECT charged_days(w.rental_count, r.bound_at, r.ended_at, w.starts_at, w.ends_at) AS days) d
    WHERE w.starts_at < w.ends_at AND d.days > 0
), allowance AS (
    SELECT DISTINCT ON (merchant_id) merchant_id, free_minutes * 60::bigint AS free_s
    FROM windows WHERE ends_at > opened_at ORDER BY merchant_id, starts_at
), free AS (
    SELECT a.merchant_id, c.call_id, least(c.units, c.left_s / c.unit_s) AS units
    FROM allowance a
    CROSS JOIN LATERAL (
        SELECT u.call_id, u.answered_at, u.units, u.unit_s, a.free_s - coalesce(
                   sum(u.units * u.unit_s) OVER (ORDER BY u.answered_at, u.call_id COLLATE "C"
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS left_s
        FROM usage_calls u
        WHERE u.merchant_id = a.merchant_id AND u.answered_at >= $2 AND u.answered_at < $4 AND NOT u.late
    ) c
    WHERE a.free_s > 0 AND c.answered_at >= $3 AND c.left_s >= c.unit_s
), calls AS (
    SELECT m.merchant_id, 1 AS bill_item, c.minutes AS bill_duration, c.cost - c.rate * coalesce(f.units, 0) AS cost,
           c.order_id, c.binding_id, c.call_id, c.answered_at AS began_at, c.answered_at AS starts_at
    FROM account m
    CROSS JOIN LATERAL (
        SELECT u.order_id, u.binding_id, u.call_id, u.answered_at, u.minutes, u.rate, u.cost FROM usage_calls u
        WHERE u.merchant_id = m.merchant_id AND u.answered_at >= $3 AND u.answered_at < $4
        OFFSET 0
    ) c
    LEFT JOIN free f ON f.merchant_id = m.merchant_id AND f.call_id = c.call_id
), charges AS MATERIALIZED (
    SELECT * FROM rental UNION ALL SELECT * FROM calls
), page AS (
    SELECT * FROM charges
    ORDER BY merchant_id COLLATE "C", bill_item, began_at, starts_at, binding_id, call_id COLLATE "C"
    LIMIT $7::bigint OFFSET $8::bigint
)
SELECT t.rows, t.sum, p.merchant_id, p.bill_item, p.bill_duration, p.cost, p.order_id, p.binding_id, p.call_id
FROM (SELECT count(*) AS rows, coalesce(sum(cost), 0) AS sum FROM charges) t
LEFT JOIN page p ON true
ORDER BY p.merchant_id COLLATE "C", p.bill_item, p.began_at, p.starts_at, p.binding_id, p.call_id COLLATE "C"

-- name: no_time_limit
-- The session's statement time-out is made for the hot path; a file takes as long as its reader.
SELECT set_config('statement_timeout', '0', true)
