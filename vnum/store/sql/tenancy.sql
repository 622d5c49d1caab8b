-- Whose eyes a transaction sees with.

-- name: tie
-- Until the transaction's end, the role of tied keys, and what the key is tied to: of an isv's merchants those whose
-- grants stand at this moment. `revoked` = the key is no more. $1 merchants or null, $2 carrier or null, $3 key id.
SELECT set_config('role', 'vnum_tenant', true),
       set_config('vnum.merchants', coalesce(t.merchants::text, ''), true),
       set_config('vnum.carrier', coalesce($2::text, ''), true),
       t.revoked
FROM (SELECT k.revoked_at IS NOT NULL AS revoked,
             CASE WHEN k.role = 'isv' THEN
                 ARRAY(SELECT g.merchant_id FROM grants g
                       WHERE g.isv = $3 AND g.merchant_id = ANY ($1) AND g.withdrawn_at IS NULL)
             ELSE $1::text[] END AS merchants
      FROM (SELECT) AS one LEFT JOIN api_keys k ON k.key_id = $3) AS t;
