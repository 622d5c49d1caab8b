-- name: bindings
-- Every binding there was, by slot and time.
SELECT host, extension, binding_id, merchant_id, order_id, bound_at, ended_at
FROM bindings ORDER BY host, extension, bound_at;

-- name: answered_calls
SELECT call_id, merchant_id, binding_id, answer_time, release_time
FROM calls WHERE answer_time IS NOT NULL;

-- name: pool_by_day
-- Live bindings and slots in quarantine (of $3 days) at each noon of Shanghai from $1 to $2.
SELECT noon,
       count(*) FILTER (WHERE b.bound_at <= noon AND noon < b.ended_at) AS bound,
       count(*) FILTER (WHERE b.ended_at <= noon AND noon < b.ended_at + make_interval(hours => 24 * $3::int)) AS quarantined
FROM generate_series(date_trunc('day', $1::timestamptz, 'Asia/Shanghai') + interval '12 hours', $2,
                     interval '24 hours') AS noon
CROSS JOIN bindings b
GROUP BY noon ORDER BY noon;

-- name: late_minutes
-- Of calls that were charged as adjustments.
SELECT coalesce(sum(minutes), 0)::bigint FROM invoice_adjustments;
