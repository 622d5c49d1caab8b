-- name: add_entry
-- Each of $5 did $4 to its fellow of $6. $1 cell, $2 entry id, $3 now, $7 why or null.
INSERT INTO audit_entries (cell, entry_id, at, did, actors, subjects, why) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: link
-- $1 cell, $2 how many at most.
SELECT link_audit($1, $2);

-- name: forget
-- $1 cell, $2 before.
SELECT forget_audit($1, $2);

-- name: head
-- $1 cell.
SELECT seq, hash, first_seq, first_hash FROM audit_heads WHERE cell = $1;

-- name: chain
-- The linked entries of a cell, in their order. $1 cell, $2 the number after which to begin, $3 how many.
SELECT cell, seq, entry_id, (extract(epoch FROM at) * 1000000)::bigint AS micros, did, actors, subjects, why, hash
FROM audit_entries WHERE cell = $1 AND seq > $2 ORDER BY seq LIMIT $3::int;

-- name: unlinked
-- How many entries wait for their link, and since when. $1 cell.
SELECT count(*) AS entries, min(at) AS since FROM audit_entries WHERE cell = $1 AND seq IS NULL;

-- name: entries
-- What was done, the newest first: by one key, to one subject. $1 cell, $2 from and $3 to (ids), $4 key or null,
-- $5 subject or null, $6 how many.
SELECT entry_id, at, did, actors, subjects, why, seq FROM audit_entries
WHERE cell = $1 AND entry_id >= $2 AND entry_id < $3
  AND ($4::text IS NULL OR $4 = ANY (actors)) AND ($5::text IS NULL OR $5 = ANY (subjects))
ORDER BY entry_id DESC LIMIT $6::int;
