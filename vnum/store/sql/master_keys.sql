-- name: proofs
SELECT key_id, proof FROM master_keys;

-- name: add_proof
INSERT INTO master_keys (key_id, proof) VALUES ($1, $2) ON CONFLICT DO NOTHING;
