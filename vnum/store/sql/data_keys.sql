-- name: data_keys
SELECT key_id, purpose, month, wrapped, master_id, made_at, destroyed_at FROM data_keys ORDER BY key_id;

-- name: lock_data_keys
-- Until the transaction's end nobody else makes, rewraps or destroys one.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.data_keys', 0));

-- name: add_data_key
-- Under an id that no key ever had; nothing when there is one already. $1 purpose, $2 month, $3 wrapped, $4 master id.
INSERT INTO data_keys (key_id, purpose, month, wrapped, master_id, made_at)
SELECT n, $1, $2::date, $3, $4, clock_timestamp() FROM generate_series(1, 32767) AS n
WHERE NOT EXISTS (SELECT FROM data_keys k WHERE k.key_id = n) ORDER BY n LIMIT 1
ON CONFLICT DO NOTHING;

-- name: file_data_key
-- A key that was in use before it was filed, under the id that stands beside what it sealed. $1 key id, $2 purpose,
-- $3 wrapped, $4 master id.
INSERT INTO data_keys (key_id, purpose, wrapped, master_id, made_at) VALUES ($1, $2, $3, $4, clock_timestamp());

-- name: rewrap_data_keys
-- $1 key ids, $2 wrapped, $3 master id.
UPDATE data_keys k SET wrapped = i.wrapped, master_id = $3
FROM unnest($1::smallint[], $2::bytea[]) AS i (key_id, wrapped)
WHERE k.key_id = i.key_id AND k.destroyed_at IS NULL;

-- name: proofs
-- The proofs of master keys by which databases of before were sealed directly.
SELECT key_id, proof FROM master_keys;
