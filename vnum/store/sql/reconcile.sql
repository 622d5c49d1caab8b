-- A carrier's calls against ours. Both tables are temporary: they belong to one session and one reconciliation.

-- name: stage
-- The rows of the carrier's file. at dates a call: its answer, or the dial when nobody answered. host null = not ours;
-- caller_hash null = not to be compared; minutes and fee as the carrier says, null = it does not say.
CREATE TEMPORARY TABLE file_calls (
    line bigint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    call_cell smallint NOT NULL,
    cell smallint,
    host text COLLATE "C",
    extension text COLLATE "C",
    caller_hash bytea,
    at timestamptz NOT NULL,
    call_time timestamptz NOT NULL,
    answer_time timestamptz,
    release_time timestamptz NOT NULL,
    seconds integer NOT NULL,
    minutes integer,
    fee numeric
);

-- name: pair
-- What the comparison comes to: a row a call, and one for each row of the file that is none. kinds empty = they agree.
-- priced = what the carrier's seconds come to at our price.
CREATE TEMPORARY TABLE call_pairs (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kinds text[] NOT NULL,
    line bigint,
    call_id text COLLATE "C",
    call_cell smallint,
    cell smallint,
    their_host text COLLATE "C",
    their_extension text COLLATE "C",
    their_at timestamptz,
    their_call_time timestamptz,
    their_answer timestamptz,
    their_release timestamptz,
    their_seconds integer,
    their_minutes integer,
    fee numeric,
    our_host text COLLATE "C",
    our_extension text COLLATE "C",
    our_at timestamptz,
    our_answer timestamptz,
    our_release timestamptz,
    our_seconds integer,
    cost numeric,
    tariff_id text,
    priced numeric,
    merchant_id text,
    order_id text,
    binding_id uuid,
    note text
);

-- name: forget_file
DROP TABLE IF EXISTS pg_temp.file_calls;

-- name: forget_pairs
DROP TABLE IF EXISTS pg_temp.call_pairs;

-- name: known
-- So that the comparison is planned by what is there.
ANALYZE file_calls;

-- name: span
-- What the file reaches over, and the hosts in it.
SELECT min(at) AS first, max(at) AS last, count(*) AS rows, array_agg(DISTINCT host) FILTER (WHERE host IS NOT NULL) AS hosts
FROM file_calls;

-- name: patience
SET LOCAL statement_timeout = '600s';

-- name: compare
-- Every call that either side dates into [$1, $2), by its id. Both sides are looked at as far as a day beyond, so that a
-- call near an edge which the two clocks date to different sides of it still finds its partner. The second of an id in
-- the file finds none: nth of ours is 1.
-- $3, $4 the window with that day, $5 cells, $6 the hosts whose calls the file should have, $7 tolerance in seconds,
-- $8 how many seconds the two dates of a call may be apart.
INSERT INTO call_pairs (kinds, line, call_id, call_cell, cell, their_host, their_extension, their_at, their_call_time,
                        their_answer, their_release, their_seconds, their_minutes, fee, our_host, our_extension, our_at,
                        our_answer, our_release, our_seconds, cost, tariff_id, priced, merchant_id, order_id, binding_id,
                        note)
SELECT array_remove(ARRAY[
           CASE WHEN t.nth > 1 THEN 'duplicate_call_id'
                WHEN o.call_id IS NULL THEN 'missing_here'
                WHEN t.call_id IS NULL THEN 'missing_there' END,
           CASE WHEN abs(t.seconds - o.seconds) > $7::int THEN 'different_seconds' END,
           CASE WHEN t.minutes <> (t.seconds + 59) / 60 THEN 'different_minutes' END,
           CASE WHEN p.differ <> '' THEN 'different_parties' END,
           CASE WHEN abs(extract(epoch FROM t.at - o.at)) > $8::int THEN 'different_time' END
       ], NULL),
       t.line, coalesce(t.call_id, o.call_id), t.call_cell, t.cell, t.host, t.extension, t.at, t.call_time,
       t.answer_time, t.release_time, t.seconds, coalesce(t.minutes, (t.seconds + 59) / 60), t.fee, o.host, o.extension,
       o.at, o.answer_time, o.release_time, o.seconds, o.cost, o.tariff_id,
       CASE WHEN t.seconds = o.seconds THEN o.cost END,
       o.merchant_id, o.order_id, o.binding_id, p.differ
FROM (
    SELECT f.*, row_number() OVER (PARTITION BY f.call_id ORDER BY f.line) AS nth
    FROM file_calls f WHERE f.at >= $3 AND f.at < $4
) AS t
FULL JOIN (
    SELECT c.call_id, 1::bigint AS nth, c.biz_at AS at, c.host, c.extension, c.answer_time, c.release_time, c.seconds,
           c.cost, c.tariff_id, c.merchant_id, c.order_id, c.binding_id,
           c.caller_hash
    FROM calls c WHERE c.cell = ANY ($5::smallint[]) AND c.biz_at >= $3 AND c.biz_at < $4
) AS o ON o.call_id = t.call_id AND o.nth = t.nth
CROSS JOIN LATERAL (
    SELECT concat_ws(', ',
        CASE WHEN t.line IS NOT NULL AND o.at IS NOT NULL AND t.host IS DISTINCT FROM o.host THEN 'host' END,
        CASE WHEN t.extension <> o.extension THEN 'extension' END,
        CASE WHEN t.caller_hash <> o.caller_hash THEN 'caller' END) AS differ
) AS p
WHERE ((t.at >= $1 AND t.at < $2) IS TRUE OR (o.at >= $1 AND o.at < $2) IS TRUE)
  AND (t.line IS NOT NULL OR o.host = ANY ($6::text[]))
ORDER BY coalesce(t.at, o.at), coalesce(t.call_id, o.call_id), t.line;

-- name: unpriced
-- The next calls whose seconds have no price yet. $1 after this place.
SELECT place, kinds, call_id, call_cell, cell, their_host, their_extension, their_at, their_call_time, their_seconds,
       our_at, tariff_id
FROM call_pairs WHERE place > $1 AND priced IS NULL AND their_seconds IS NOT NULL ORDER BY place LIMIT 1000;

-- name: reviewed
-- What became of records of these calls that were not taken here, the last of each. $1 cells, $2 call ids.
SELECT DISTINCT ON (r.cell, r.call_id) r.call_id, r.status, r.code
FROM unnest($1::smallint[], $2::text[]) AS i (cell, call_id)
JOIN call_reviews r ON r.cell = i.cell AND r.call_id = i.call_id
ORDER BY r.cell, r.call_id, r.received_at DESC;

-- name: price
-- $1 places, $2 prices, $3 merchants, $4 orders, $5 bindings, $6 notes.
UPDATE call_pairs AS p
SET priced = i.priced, merchant_id = coalesce(p.merchant_id, i.merchant_id),
    order_id = coalesce(p.order_id, i.order_id), binding_id = coalesce(p.binding_id, i.binding_id),
    note = concat_ws('; ', nullif(p.note, ''), nullif(i.note, ''))
FROM unnest($1::bigint[], $2::numeric[], $3::text[], $4::text[], $5::uuid[], $6::text[])
     AS i (place, priced, merchant_id, order_id, binding_id, note)
WHERE p.place = i.place;

-- name: totals
-- Both sides in calls, seconds, started minutes and money. fees = how many calls state a fee.
SELECT count(our_at) AS our_calls, count(our_at) FILTER (WHERE our_seconds > 0) AS our_answered,
       coalesce(sum(our_seconds), 0) AS our_seconds, coalesce(sum((our_seconds + 59) / 60), 0) AS our_minutes,
       coalesce(sum(cost), 0) AS cost,
       count(their_at) AS their_calls, count(their_at) FILTER (WHERE their_seconds > 0) AS their_answered,
       coalesce(sum(their_seconds), 0) AS their_seconds, coalesce(sum(their_minutes), 0) AS their_minutes,
       coalesce(sum(priced), 0) AS priced, count(fee) AS fees, coalesce(sum(fee), 0) AS fee,
       count(*) FILTER (WHERE kinds = '{}') AS matched
FROM call_pairs;

-- name: kinds
SELECT kind, count(*) AS calls FROM call_pairs, unnest(kinds) AS kind GROUP BY kind;

-- name: differences
-- The next calls on which the two do not agree. $1 after this place.
SELECT place, kinds, line, call_id, their_host, their_extension, their_at, their_answer, their_release, their_seconds,
       their_minutes, fee, our_host, our_extension, our_at, our_answer, our_release, our_seconds,
       (our_seconds + 59) / 60 AS our_minutes, cost, priced, merchant_id, order_id, binding_id, note
FROM call_pairs WHERE place > $1 AND kinds <> '{}' ORDER BY place LIMIT 1000;
