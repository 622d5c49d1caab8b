-- Whose eyes a transaction sees with.

-- name: tie
-- Until its end, the role of tied keys, and what the key is tied to. $1 merchants or null, $2 carrier or null.
SELECT set_config('role', 'vnum_tenant', true),
       set_config('vnum.merchants', coalesce($1::text[]::text, ''), true),
       set_config('vnum.carrier', coalesce($2::text, ''), true)
