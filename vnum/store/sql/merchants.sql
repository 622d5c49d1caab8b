-- name: merchants
-- A page of those behind $1, with the tariff that each pays at $4 and what comes next. $2 how many, $3 a tied key's or
-- null.
SELECT m.merchant_id, m.name, m.invoice_title, m.tax_no, m.service_number, m.state, m.created_at,
       m.spend_cap, m.spend_alert, coalesce(t.tariff_id, 'default') AS tariff_id, n.tariff_id AS next_tariff_id, n.effective_from AS next_tariff_from
FROM merchants m
LEFT JOIN LATERAL (
    SELECT a.tariff_id FROM tariff_assignments a
    WHERE a.merchant_id = m.merchant_id AND a.effective_from <= $4
    ORDER BY a.effective_from DESC, a.entry DESC LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT a.tariff_id, a.effective_from FROM tariff_assignments a
    WHERE a.merchant_id = m.merchant_id AND a.effective_from > $4
    ORDER BY a.effective_from, a.entry DESC LIMIT 1
) AS n ON true
WHERE m.merchant_id > $1 AND ($3::text[] IS NULL OR m.merchant_id = ANY ($3)) ORDER BY m.merchant_id LIMIT $2;

-- name: add_merchant
-- Returns nothing if there is one of this id.
INSERT INTO merchants (merchant_id, name, invoice_title, tax_no, service_number, state, created_at, spend_cap, spend_alert)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, clock_timestamp()), $8, $9)
ON CONFLICT (merchant_id) DO NOTHING
RETURNING created_at;

-- name: change_merchant
-- A null leaves a field as it is; of the limits, which may be set to null, $7 and $9 say whether they are changed, to $8
-- and $10. Returns nothing if there is no such merchant.
UPDATE merchants
SET name = coalesce($2, name), invoice_title = coalesce($3, invoice_title), tax_no = coalesce($4, tax_no),
    service_number = coalesce($5, service_number), state = coalesce($6, state),
    spend_cap = CASE WHEN $7::boolean THEN $8::numeric ELSE spend_cap END,
    spend_alert = CASE WHEN $9::boolean THEN $10::numeric ELSE spend_alert END
WHERE merchant_id = $1
RETURNING created_at;

-- name: limits
-- What the merchant may spend. $1 merchant.
SELECT spend_cap, spend_alert FROM merchants WHERE merchant_id = $1;

-- name: has_merchant
SELECT EXISTS (SELECT FROM merchants WHERE merchant_id = $1);
