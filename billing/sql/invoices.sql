-- Reading closed invoices.

-- name: head
-- One invoice without its lines. $1 number.
SELECT * FROM invoices WHERE invoice_number = $1

-- name: lines
-- The lines of some invoices, in order. $1 numbers.
SELECT * FROM invoice_lines WHERE invoice_number = ANY ($1::text[]) ORDER BY invoice_number, line_no

-- name: taxes
-- What of them comes under each tax. $1 numbers.
SELECT * FROM invoice_taxes WHERE invoice_number = ANY ($1::text[]) ORDER BY invoice_number, tax_mode, tax_rate

-- name: buyers
-- Who pays some invoices. $1 numbers.
SELECT invoice_number, merchant_id, invoice_title, tax_no FROM invoices WHERE invoice_number = ANY ($1::text[])

-- name: listing
-- Invoices by period and merchant, merchants in byte order. $1 period or null, $2 merchants or null, $3 and $4 the period
-- and merchant after which to begin, or null, $5 how many.
SELECT * FROM invoices
WHERE ($1::date IS NULL OR period = $1)
  AND ($2::text[] IS NULL OR merchant_id = ANY ($2))
  AND ($3::date IS NULL OR (period, merchant_id COLLATE "C") > ($3, $4::text))
ORDER BY period, merchant_id COLLATE "C"
LIMIT $5::integer

-- name: open_accounts
-- Up to three merchants whose close of a period is not complete, and how many closes are. $1 period, $2 its end,
-- $3 merchants or null.
SELECT (SELECT count(*) FROM closes c
        WHERE c.period = $1::date AND ($3::text[] IS NULL OR c.merchant_id = ANY ($3))) AS closed,
       ARRAY(SELECT a.merchant_id FROM usage_accounts a
             WHERE a.opened_at < $2 AND ($3::text[] IS NULL OR a.merchant_id = ANY ($3))
               AND NOT EXISTS (SELECT FROM closes c WHERE c.merchant_id = a.merchant_id AND c.period = $1::date)
             ORDER BY a.merchant_id LIMIT 3) AS still_open

-- name: count
-- How many there are. $1 period, $2 merchants or null.
SELECT count(*) FROM invoices WHERE period = $1::date AND ($2::text[] IS NULL OR merchant_id = ANY ($2))

-- name: of_call
-- The invoice that bears a charged call: that of its month, or the one that took it late; null = none yet. $1 merchant,
-- $2 call, $3 its month, $4 whether it was late.
SELECT CASE WHEN $4::boolean
            THEN (SELECT a.invoice_number FROM invoice_adjustments a
                  WHERE a.merchant_id = $1::text AND a.call_id = $2::text)
            ELSE (SELECT c.invoice_number FROM closes c WHERE c.period = $3::date AND c.merchant_id = $1::text)
       END
