-- name: merchants
SELECT merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state, created_at
FROM merchants WHERE merchant_id > $1 AND ($3::text[] IS NULL OR merchant_id = ANY ($3)) ORDER BY merchant_id LIMIT $2;

-- name: merchant
SELECT merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state, created_at
FROM merchants WHERE merchant_id = $1;

-- name: add_merchant
INSERT INTO merchants (merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8, clock_timestamp()))
ON CONFLICT (merchant_id) DO NOTHING
RETURNING merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state, created_at;

-- name: change_merchant
-- A null leaves a field as it is.
UPDATE merchants
SET name = coalesce($2, name), invoice_title = coalesce($3, invoice_title), tax_no = coalesce($4, tax_no),
    tariff_id = coalesce($5, tariff_id), service_number = coalesce($6, service_number), state = coalesce($7, state)
WHERE merchant_id = $1
RETURNING merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state, created_at;

-- name: has_orders
-- Whether anything was ever bound for the merchant. $1 cells, $2 merchant.
SELECT EXISTS (SELECT FROM orders WHERE cell = ANY ($1::smallint[]) AND merchant_id = $2);
