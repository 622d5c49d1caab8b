-- name: now
-- The server's clock and the highest instant committed in a cell. $1 cell, $2 simulated now or null.
SELECT coalesce($2, clock_timestamp()) AS server_now, (SELECT max(instant) FROM clocks WHERE cell = $1) AS highest;

-- name: accept_leap
INSERT INTO clock_accepts (instant, operator) VALUES (clock_timestamp(), $1) RETURNING instant;

-- name: accepted_leap
SELECT max(instant) FROM clock_accepts;

-- name: ensure_months
-- Partitions from the month of $1 to three months and more ahead. $1 now.
SELECT ensure_months($1::timestamptz, $1::timestamptz + interval '95 days');
