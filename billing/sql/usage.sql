-- What merchants used, by date. Usage is looked up merchant by merchant (OFFSET 0 keeps the planner to that), so that an
-- index by merchant and time serves. $1 is always the merchants, $2 and $3 the window.

-- name: amounts
-- What each date cost, by tax: rental (item 0; quantity in days) and calls (item 1; quantity in minutes), and free minutes
-- as an amount below zero without a quantity. $4 up to when rental days are charged (now, or later), $5 how long a rental
-- can be, or null.
-- A rental's days in a window of prices start on dates that follow one another, so rentals are grouped by first date and
-- number before they are spread over dates. Free minutes as in close.sql.
WITH asked AS MATERIALIZED (
    SELECT merchant_id, opened_at FROM usage_accounts WHERE merchant_id = ANY ($1::text[])
), windows AS MATERIALIZED (
    SELECT w.*
    FROM (SELECT array_agg(merchant_id) AS merchants, array_agg(opened_at) AS opened FROM asked) m
    CROSS JOIN LATERAL priced_windows(
        m.merchants, m.opened, date_trunc('month', $2::timestamptz, 'Asia/Shanghai'), $3::timestamptz) w
), rental AS (
    SELECT w.merchant_id, w.rental_day, w.tax_mode, w.tax_rate, d.days, count(*) AS rentals,
           (CASE WHEN r.bound_at >= w.starts_at THEN (r.bound_at AT TIME ZONE 'Asia/Shanghai')::date
                 WHEN w.rental_count = 'calendar_day' THEN DATE '2000-01-01' + midnights_before(w.starts_at)
                 ELSE ((r.bound_at + days_begun(w.starts_at - r.bound_at) * interval '24 hours')
                       AT TIME ZONE 'Asia/Shanghai')::date END) AS first_date
    FROM (SELECT merchant_id, rental_count, rental_day, tax_mode, tax_rate,
                 greatest(starts_at, $2) AS starts_at, least(ends_at, $4::timestamptz) AS ends_at
          FROM windows) w
    CROSS JOIN LATERAL (
        SELECT u.bound_at, u.ended_at FROM usage_rentals u
        WHERE u.merchant_id = w.merchant_id AND u.bound_at < w.ends_at
          AND u.bound_at >= coalesce(w.starts_at - $5::interval, '-infinity')
          AND (u.ended_at > w.starts_at OR u.bound_at >= w.starts_at)
        OFFSET 0
    ) r
    CROSS JOIN LATERAL (SELECT charged_days(w.rental_count, r.bound_at, r.ended_at, w.starts_at, w.ends_at) AS days) d
    WHERE w.starts_at < w.ends_at AND d.days > 0
    GROUP BY w.merchant_id, w.starts_at, w.rental_day, w.tax_mode, w.tax_rate, d.days, first_date
), calls AS (
    SELECT m.merchant_id, (c.answered_at AT TIME ZONE 'Asia/Shanghai')::date AS biz_date, t.tax_mode, t.tax_rate,
           count(*) AS count, sum(c.minutes) AS minutes, sum(c.cost) AS amount
    FROM asked m
    CROSS JOIN LATERAL (
        SELECT u.answered_at, u.minutes, u.cost, u.tariff_id, u.tariff_version FROM usage_calls u
        WHERE u.merchant_id = m.merchant_id AND u.answered_at >= $2 AND u.answered_at < $3
        OFFSET 0
    ) c
    JOIN tariffs t ON t.tariff_id = c.tariff_id AND t.version = c.tariff_version
    GROUP BY m.merchant_id, biz_date, t.tax_mode, t.tax_rate
), months AS (
    SELECT s AT TIME ZONE 'Asia/Shanghai' AS starts_at, (s + interval '1 month') AT TIME ZONE 'Asia/Shanghai' AS ends_at
    FROM generate_series(date_trunc('month', $2 AT TIME ZONE 'Asia/Shanghai'),
                         ($3 - interval '1 microsecond') AT TIME ZONE 'Asia/Shanghai', interval '1 month') s
), allowance AS (
    SELECT DISTINCT ON (w.merchant_id, m.starts_at) w.merchant_id, m.starts_at, m.ends_at, w.free_minutes * 60::bigint AS free_s
    FROM months m
    JOIN windows w ON w.starts_at < m.ends_at AND w.ends_at > greatest(m.starts_at, w.opened_at)
    ORDER BY w.merchant_id, m.starts_at, w.starts_at
), free AS (
    SELECT a.merchant_id, (c.answered_at AT TIME ZONE 'Asia/Shanghai')::date AS biz_date, t.tax_mode, t.tax_rate,
           sum(least(c.units, c.left_s / c.unit_s) * c.rate) AS amount
    FROM allowance a
    CROSS JOIN LATERAL (
        SELECT u.answered_at, u.units, u.unit_s, u.rate, u.tariff_id, u.tariff_version, a.free_s - coalesce(
                   sum(u.units * u.unit_s) OVER (ORDER BY u.answered_at, u.call_id COLLATE "C"
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS left_s
        FROM usage_calls u
        WHERE u.merchant_id = a.merchant_id AND u.answered_at >= a.starts_at AND u.answered_at < least(a.ends_at, $3)
          AND NOT u.late
    ) c
    JOIN tariffs t ON t.tariff_id = c.tariff_id AND t.version = c.tariff_version
    WHERE a.free_s > 0 AND c.answered_at >= $2 AND c.left_s >= c.unit_s
    GROUP BY a.merchant_id, biz_date, t.tax_mode, t.tax_rate
), amounts AS (
    SELECT r.merchant_id, r.first_date + k AS biz_date, 0 AS item, r.tax_mode, r.tax_rate, 0::bigint AS count,
           r.rentals AS quantity, r.rental_day * r.rentals AS amount
    FROM rental r CROSS JOIN LATERAL generate_series(0, r.days - 1) k
    UNION ALL
    SELECT merchant_id, biz_date, 1, tax_mode, tax_rate, count, minutes, amount FROM calls
    UNION ALL
    SELECT merchant_id, biz_date, 1, tax_mode, tax_rate, 0, 0, -amount FROM free
)
SELECT merchant_id, biz_date, item, tax_mode, tax_rate, sum(count)::bigint AS count, sum(quantity)::bigint AS quantity,
       sum(amount) AS amount
FROM amounts
GROUP BY merchant_id, biz_date, item, tax_mode, tax_rate
ORDER BY merchant_id, biz_date, item

-- name: numbers
-- How many numbers were bound on each date, and how many were live at its end, of today ($6, now being $4) at present;
-- dates without any are left out. $5 how long a rental can be, or null.
WITH lent AS MATERIALIZED (
    SELECT m.merchant_id, r.bound_at, r.ended_at, (r.bound_at AT TIME ZONE 'Asia/Shanghai')::date AS bound_on,
           (r.ended_at AT TIME ZONE 'Asia/Shanghai')::date AS ended_on
    FROM unnest($1::text[]) m (merchant_id)
    CROSS JOIN LATERAL (
        SELECT u.bound_at, u.ended_at FROM usage_rentals u
        WHERE u.merchant_id = m.merchant_id AND u.bound_at < $3::timestamptz
          AND u.bound_at >= coalesce($2::timestamptz - $5::interval, '-infinity')
          AND (u.ended_at >= $2 OR u.bound_at >= $2)
        OFFSET 0
    ) r
), dates AS (
    SELECT ($2 AT TIME ZONE 'Asia/Shanghai')::date AS since, ($3 AT TIME ZONE 'Asia/Shanghai')::date AS until
), groups AS (
    SELECT merchant_id, bound_on, ended_on, count(*) AS numbers FROM lent GROUP BY merchant_id, bound_on, ended_on
), numbers AS (
    SELECT merchant_id, bound_on AS biz_date, numbers AS new, 0::bigint AS live FROM groups, dates WHERE bound_on >= since
    UNION ALL
    SELECT merchant_id, greatest(bound_on, since) + k, 0, numbers
    FROM groups CROSS JOIN dates
    CROSS JOIN LATERAL generate_series(0, least(ended_on, until, $6::date) - greatest(bound_on, since) - 1) k
    UNION ALL
    SELECT merchant_id, $6, 0, count(*) FROM lent, dates
    WHERE $6 >= since AND $6 < until AND bound_at <= $4::timestamptz AND ended_at > $4 GROUP BY merchant_id
)
SELECT merchant_id, biz_date, sum(new)::bigint AS new, sum(live)::bigint AS live
FROM numbers
GROUP BY merchant_id, biz_date

-- name: first_days
-- What a number bound at $2 costs each of the merchants for its first day, and the tax on it.
SELECT m.merchant_id, t.rental_day AS amount, t.tax_mode, t.tax_rate
FROM unnest($1::text[]) m (merchant_id)
LEFT JOIN LATERAL (
    SELECT a.tariff_id FROM tariff_assignments a
    WHERE a.merchant_id = m.merchant_id AND a.effective_from <= $2::timestamptz ORDER BY a.effective_from DESC, a.entry DESC LIMIT 1
) a ON true
CROSS JOIN LATERAL (
    SELECT * FROM tariffs t
    WHERE t.tariff_id = coalesce(a.tariff_id, 'default') AND t.effective_from <= $2 ORDER BY t.effective_from DESC, t.version DESC
    LIMIT 1
) t
