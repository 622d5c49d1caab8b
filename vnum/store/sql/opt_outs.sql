-- The recipient's no, by the keyed hash of his phone. '' as merchant = of every shop, as caller = of every caller.

-- name: say
-- Nothing comes back if it was said already. $1 id, $2 recipient, $3 scope, $4 merchant, $5 caller, $6 at, $7 by, $8 why.
INSERT INTO opt_outs (opt_out_id, recipient_hash, scope, merchant_id, caller_hash, said_at, said_by, why)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (recipient_hash, scope, merchant_id, caller_hash) WHERE withdrawn_at IS NULL DO NOTHING
RETURNING opt_out_id;

-- name: in_force
-- $1 recipient, $2 scope, $3 merchant.
SELECT said_at FROM opt_outs
WHERE recipient_hash = $1 AND scope = $2 AND merchant_id = $3 AND withdrawn_at IS NULL LIMIT 1;

-- name: wants_no_texts
-- Whether a no that is in force is meant for the shop, of texts as of calls. $1 recipient, $2 merchant.
SELECT EXISTS (SELECT FROM opt_outs
               WHERE recipient_hash = $1 AND scope IN ('merchant', 'everything') AND merchant_id IN ('', $2)
                 AND withdrawn_at IS NULL);

-- name: withdraw
-- Takes back what is in force; of scope `caller` every caller that a complaint blocked. $1 recipient, $2 scope, $3
-- merchant, $4 at, $5 by.
UPDATE opt_outs SET withdrawn_at = $4, withdrawn_by = $5
WHERE recipient_hash = $1 AND scope = $2 AND merchant_id = $3 AND withdrawn_at IS NULL
RETURNING opt_out_id;
