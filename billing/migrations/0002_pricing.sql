-- Price models: how rental is counted, how talk is charged, free minutes, tax; and tariffs by merchant and instant.
--
-- The relation usage_accounts has no tariff_id any more: which tariff a merchant pays is kept here. usage_calls has three
-- columns more: units int, unit_s int, setup_fee numeric; rate is the price of a unit, so that
-- cost = setup_fee + units x rate. A charged call is one with units > 0.

ALTER TABLE tariffs
    ADD COLUMN rental_count text    NOT NULL DEFAULT 'started_day' CHECK (rental_count IN ('started_day', 'calendar_day')),
    ADD COLUMN first_s      integer NOT NULL DEFAULT 60 CHECK (first_s BETWEEN 1 AND 3600),
    ADD COLUMN next_s       integer NOT NULL DEFAULT 60 CHECK (next_s BETWEEN 1 AND 3600),
    ADD COLUMN minimum_s    integer NOT NULL DEFAULT 0 CHECK (minimum_s BETWEEN 0 AND 3600),
    ADD COLUMN free_s       integer NOT NULL DEFAULT 0 CHECK (free_s BETWEEN 0 AND 3600),
    ADD COLUMN setup_fee    numeric NOT NULL DEFAULT 0 CHECK (setup_fee >= 0 AND setup_fee < 'Infinity'),
    ADD COLUMN free_minutes integer NOT NULL DEFAULT 0 CHECK (free_minutes >= 0),
    ADD COLUMN tax_mode     text    NOT NULL DEFAULT 'included' CHECK (tax_mode IN ('included', 'added')),
    ADD COLUMN tax_rate     numeric NOT NULL DEFAULT 0 CHECK (tax_rate >= 0 AND tax_rate < 1),
    ADD COLUMN note         text,
    ADD COLUMN added_at     timestamptz,
    ADD COLUMN added_by     text;

-- Which tariff a merchant pays from an instant on; before the first row, and without any: 'default'.
CREATE TABLE tariff_assignments (
    merchant_id    text        NOT NULL,
    effective_from timestamptz NOT NULL,
    tariff_id      text        NOT NULL,
    assigned_at    timestamptz NOT NULL,
    assigned_by    text        NOT NULL,
    PRIMARY KEY (merchant_id, effective_from)
);

-- Serves the question whether anybody pays a tariff.
CREATE INDEX tariff_assignments_tariff ON tariff_assignments (tariff_id);

ALTER TABLE invoice_lines
    ADD COLUMN kind     text,
    ADD COLUMN unit_s   integer, -- seconds of a unit of talk; null for days and set-up fees
    ADD COLUMN tax_mode text    NOT NULL DEFAULT 'included',
    ADD COLUMN tax_rate numeric NOT NULL DEFAULT 0;
UPDATE invoice_lines SET kind = CASE item WHEN 0 THEN 'rental_day' ELSE 'call' END, unit_s = CASE item WHEN 1 THEN 60 END;
ALTER TABLE invoice_lines
    ALTER COLUMN kind SET NOT NULL,
    ALTER COLUMN tax_mode DROP DEFAULT,
    ALTER COLUMN tax_rate DROP DEFAULT,
    ADD CHECK (CASE WHEN item = 0 THEN kind IN ('rental_day', 'calendar_day')
                    ELSE kind IN ('call', 'call_setup', 'free_minutes') END);

ALTER TABLE invoice_adjustments
    ADD COLUMN units     integer,
    ADD COLUMN unit_s    integer NOT NULL DEFAULT 60,
    ADD COLUMN setup_fee numeric NOT NULL DEFAULT 0,
    ADD COLUMN tax_mode  text    NOT NULL DEFAULT 'included',
    ADD COLUMN tax_rate  numeric NOT NULL DEFAULT 0;
UPDATE invoice_adjustments SET units = minutes;
ALTER TABLE invoice_adjustments
    ALTER COLUMN units SET NOT NULL,
    ALTER COLUMN unit_s DROP DEFAULT,
    ALTER COLUMN setup_fee DROP DEFAULT,
    ALTER COLUMN tax_mode DROP DEFAULT,
    ALTER COLUMN tax_rate DROP DEFAULT,
    ADD CHECK (amount = setup_fee + rate * units);

-- What comes under each tax: lines and adjustments together. added = tax on top, 0 where prices include it.
CREATE TABLE invoice_taxes (
    invoice_number text    NOT NULL,
    tax_mode       text    NOT NULL,
    tax_rate       numeric NOT NULL,
    base           numeric NOT NULL,
    late_count     bigint  NOT NULL, -- adjustments among it
    late_base      numeric NOT NULL,
    added          numeric NOT NULL CHECK (added = CASE tax_mode WHEN 'added' THEN base * tax_rate ELSE 0 END),
    PRIMARY KEY (invoice_number, tax_mode, tax_rate)
);
INSERT INTO invoice_taxes (invoice_number, tax_mode, tax_rate, base, late_count, late_base, added)
SELECT invoice_number, 'included', 0, total_exact, adjustments_count, adjustments_total, 0 FROM invoices;

ALTER TABLE invoices
    ADD COLUMN tax_exact numeric NOT NULL DEFAULT 0, -- the added tax of all shares
    DROP CONSTRAINT invoices_check;
ALTER TABLE invoices
    ALTER COLUMN tax_exact DROP DEFAULT,
    ADD CONSTRAINT invoices_balance CHECK (balance = carried_in + total_exact + tax_exact);

-- How many midnights of Asia/Shanghai lie before an instant, counted from a fixed date.
CREATE FUNCTION midnights_before(instant timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((instant AT TIME ZONE 'Asia/Shanghai')::date - DATE '2000-01-01')
       + ((instant AT TIME ZONE 'Asia/Shanghai')::time > TIME '00:00')::integer;

-- How many of a binding's calendar days start in [starts_at, ends_at): the first at bound_at, each further one at a
-- midnight before the end (the same as billing/prices/calendar_day.py).
CREATE FUNCTION calendar_days(bound_at timestamptz, ended_at timestamptz, starts_at timestamptz, ends_at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (bound_at >= starts_at AND bound_at < ends_at)::integer
       + greatest(0, midnights_before(least(ended_at, ends_at))
                     - greatest(midnights_before(starts_at),
                                (bound_at AT TIME ZONE 'Asia/Shanghai')::date - DATE '2000-01-01' + 1));

-- By the tariff's own count.
CREATE FUNCTION charged_days(
    rental_count text, bound_at timestamptz, ended_at timestamptz, starts_at timestamptz, ends_at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE rental_count
    WHEN 'calendar_day' THEN calendar_days(bound_at, ended_at, starts_at, ends_at)
    ELSE rental_days(bound_at, ended_at, starts_at, ends_at) END;

REVOKE ALL ON tariff_assignments, invoice_taxes FROM PUBLIC, vnum_app;
GRANT SELECT, INSERT ON tariffs, tariff_assignments, invoice_taxes TO vnum_app;
