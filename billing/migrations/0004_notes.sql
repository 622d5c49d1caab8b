-- Credit and debit notes: how a closed invoice, which never changes, is put right (billing rule 6.6).
--
-- The host supplies a fourth relation, for re-rating: usage_answered, with the columns of usage_calls, holds the answered
-- calls of a second or more that cost nothing as well (units = 0), since other terms may charge them. No foreign keys, as
-- in 0001_ledger.sql: a note, its lines and its number are written in one transaction.

-- The last serial given out, per series of notes (billing rule 6.9).
CREATE TABLE note_serials (
    issuer      text    NOT NULL,
    year        integer NOT NULL,
    last_serial bigint  NOT NULL CHECK (last_serial > 0),
    PRIMARY KEY (issuer, year)
);

CREATE TABLE notes (
    note_number    text        PRIMARY KEY,
    issuer         text        NOT NULL,
    year           integer     NOT NULL CHECK (year = extract(year FROM issued_at AT TIME ZONE 'Asia/Shanghai')),
    serial         bigint      NOT NULL CHECK (serial > 0),
    kind           text        NOT NULL CHECK (kind IN ('credit', 'debit')),
    source         text        NOT NULL CHECK (source IN ('manual', 'rerating')),
    tariff_id      text,                -- by which an invoice was rated anew; null = by what was assigned then
    invoice_number text        NOT NULL,
    merchant_id    text        NOT NULL,
    period         date        NOT NULL CHECK (extract(day FROM period) = 1), -- of the invoice
    issued_at      timestamptz NOT NULL,
    author         text        NOT NULL CHECK (author <> ''),
    reason         text        NOT NULL CHECK (reason <> ''),
    total_exact    numeric     NOT NULL, -- the lines, without added tax; below zero in the merchant's favour
    tax_exact      numeric     NOT NULL,
    amount_due     numeric     NOT NULL CHECK (amount_due = round(total_exact + tax_exact, 2)),
    carried_out    numeric     NOT NULL CHECK (carried_out = total_exact + tax_exact - amount_due),
    CHECK (CASE kind WHEN 'credit' THEN total_exact + tax_exact < 0 ELSE total_exact + tax_exact > 0 END),
    CHECK (source = 'rerating' OR tariff_id IS NULL),
    CHECK (note_number = issuer || '-NOTE-' || year || '-' || lpad(serial::text, greatest(6, length(serial::text)), '0'))
);

-- The order of listings.
CREATE UNIQUE INDEX notes_series ON notes (issuer, year, serial);

-- What an invoice comes to with its notes.
CREATE INDEX notes_invoice ON notes (invoice_number);

-- Which rests the close of a merchant's month takes.
CREATE INDEX notes_merchant ON notes (merchant_id);

-- A line is about one call (call_id), about one binding or a day of it (binding_id, biz_date), about what one tariff
-- version prices (re-rating), or free (text). charged = what was charged until then, correct = what is charged now.
CREATE TABLE note_lines (
    note_number      text     NOT NULL,
    line_no          integer  NOT NULL CHECK (line_no > 0),
    item             smallint NOT NULL CHECK (item IN (0, 1)),
    kind             text     NOT NULL,
    text             text,
    call_id          text,
    order_id         text,
    binding_id       uuid,
    biz_date         date,
    tariff_id        text,
    tariff_version   integer,
    rate             numeric,
    unit_s           integer,
    charged_quantity bigint, -- days, units of talk, fees; of re-rating
    correct_quantity bigint,
    charged          numeric,
    correct          numeric,
    amount           numeric  NOT NULL,
    tax_mode         text     NOT NULL CHECK (tax_mode IN ('included', 'added')),
    tax_rate         numeric  NOT NULL CHECK (tax_rate >= 0 AND tax_rate < 1),
    added            numeric  NOT NULL CHECK (added = CASE tax_mode WHEN 'added' THEN amount * tax_rate ELSE 0 END),
    PRIMARY KEY (note_number, line_no),
    CHECK (CASE WHEN item = 0 THEN kind IN ('rental_day', 'calendar_day', 'text')
                ELSE kind IN ('call', 'call_setup', 'free_minutes', 'late_call', 'text') END),
    CHECK ((kind = 'text') = (text IS NOT NULL)),
    CHECK ((kind = 'text') = (charged IS NULL) AND (charged IS NULL) = (correct IS NULL)),
    CHECK (amount = correct - charged)
);

-- Which invoice took a note's rest into its carried_in. A note's rest is taken once: that is the primary key.
CREATE TABLE note_carries (
    note_number    text PRIMARY KEY,
    invoice_number text NOT NULL
);

CREATE INDEX note_carries_invoice ON note_carries (invoice_number);

REVOKE ALL ON notes, note_lines, note_serials, note_carries FROM PUBLIC, vnum_app;
GRANT SELECT, INSERT ON notes, note_lines, note_carries TO vnum_app;
GRANT SELECT, INSERT, UPDATE ON note_serials TO vnum_app;
