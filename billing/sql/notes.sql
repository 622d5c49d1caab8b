-- Credit and debit notes: written once, read often.

-- name: lock_invoice
-- One correction of an invoice at a time, until the end of the transaction: what is left to be credited is read and
-- written under this lock. The invoice's row itself can not be locked, since nobody may change it. $1 number.
SELECT pg_advisory_xact_lock(hashtextextended('billing notes of ' || current_schema() || ' ' || $1::text, 0))

-- name: balance
-- What the notes of an invoice come to, exactly. $1 invoice.
SELECT coalesce(sum(total_exact + tax_exact), 0) FROM notes WHERE invoice_number = $1

-- name: corrected
-- What the manual notes of an invoice changed about single calls, bindings and days. $1 invoice.
SELECT l.call_id, l.binding_id, l.biz_date, l.amount
FROM notes n
JOIN note_lines l USING (note_number)
WHERE n.invoice_number = $1 AND n.source = 'manual' AND (l.call_id IS NOT NULL OR l.binding_id IS NOT NULL)

-- name: rerated
-- What the re-ratings of an invoice changed, by what a tariff version prices at a rate. $1 invoice.
SELECT l.kind, l.tariff_id, l.tariff_version, l.rate, l.unit_s, l.tax_mode, l.tax_rate,
       sum(l.correct_quantity - l.charged_quantity)::bigint AS quantity, sum(l.amount) AS amount
FROM notes n
JOIN note_lines l USING (note_number)
WHERE n.invoice_number = $1 AND n.source = 'rerating'
GROUP BY l.kind, l.tariff_id, l.tariff_version, l.rate, l.unit_s, l.tax_mode, l.tax_rate

-- name: take_serial
-- The next number of a series of notes ($1 issuer, $2 year). The row stays locked until the note is committed with it, so
-- a number is never lost and never given twice.
INSERT INTO note_serials AS s (issuer, year, last_serial) VALUES ($1::text, $2::integer, 1)
ON CONFLICT (issuer, year) DO UPDATE SET last_serial = s.last_serial + 1
RETURNING last_serial

-- name: head
-- One note without its lines. $1 number.
SELECT * FROM notes WHERE note_number = $1

-- name: lines
-- The lines of some notes, in order. $1 numbers.
SELECT * FROM note_lines WHERE note_number = ANY ($1::text[]) ORDER BY note_number, line_no

-- name: listing
-- Notes in the order of their numbers. $1 invoice or null, $2 period of the invoice or null, $3 merchants or null, $4, $5
-- and $6 the issuer, year and serial after which to begin, or null, $7 how many, issued from $8 to before $9, or null.
SELECT * FROM notes
WHERE ($1::text IS NULL OR invoice_number = $1)
  AND ($2::date IS NULL OR period = $2)
  AND ($3::text[] IS NULL OR merchant_id = ANY ($3))
  AND ($4::text IS NULL OR (issuer, year, serial) > ($4, $5::integer, $6::bigint))
  AND ($8::timestamptz IS NULL OR (issued_at >= $8 AND issued_at < $9::timestamptz))
ORDER BY issuer, year, serial
LIMIT $7::integer

-- name: taken
-- The notes whose rests are in an invoice's carried_in. $1 invoice.
SELECT note_number FROM note_carries WHERE invoice_number = $1 ORDER BY note_number

-- name: taker
-- The invoice whose carried_in has a note's rest; none yet: no row. $1 note.
SELECT invoice_number FROM note_carries WHERE note_number = $1

-- name: insert_notes
-- Heads of notes, an array a column.
INSERT INTO notes (note_number, issuer, year, serial, kind, source, tariff_id, invoice_number, merchant_id, period,
    issued_at, author, reason, total_exact, tax_exact, amount_due, carried_out)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::date[], $11::timestamptz[], $12::text[], $13::text[], $14::numeric[], $15::numeric[],
    $16::numeric[], $17::numeric[])

-- name: insert_lines
-- Lines of notes, an array a column.
INSERT INTO note_lines (note_number, line_no, item, kind, amount, tax_mode, tax_rate, added, text, call_id, order_id,
    binding_id, biz_date, tariff_id, tariff_version, rate, unit_s, charged_quantity, correct_quantity, charged,
    correct)
SELECT * FROM unnest($1::text[], $2::integer[], $3::smallint[], $4::text[], $5::numeric[], $6::text[], $7::numeric[],
    $8::numeric[], $9::text[], $10::text[], $11::text[], $12::uuid[], $13::date[], $14::text[], $15::integer[],
    $16::numeric[], $17::integer[], $18::bigint[], $19::bigint[], $20::numeric[], $21::numeric[])
