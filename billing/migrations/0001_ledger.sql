-- The ledger: tariffs, closed periods, invoices. PostgreSQL 15 to 18, no extension.
--
-- Usage is read from three relations that the host schema supplies, as views or as tables:
--   usage_accounts(merchant_id text, opened_at timestamptz, tariff_id text, invoice_title text, tax_no text)
--   usage_rentals(merchant_id text, order_id text, binding_id uuid, bound_at timestamptz, ended_at timestamptz)
--   usage_calls(merchant_id text, order_id text, binding_id uuid, call_id text, answered_at timestamptz,
--               released_at timestamptz, seconds int, minutes int, cost numeric,
--               tariff_id text, tariff_version int, rate numeric, late boolean)
-- A rental is [bound_at, ended_at), ended_at = expiry or release. Calls are answered and charged ones only, rated when
-- their record arrived; late = their month was already marked closed for the merchant when they were committed.
--
-- What the host's writers owe: whatever changes usage tests, in the statement that changes it,
--   NOT EXISTS (SELECT 1 FROM periods p WHERE p.merchant_id = $m AND p.ends_at > $instant)
-- and keeps out of a marked period (a call then becomes late). billing/drain.py explains why that is enough.
--
-- Money is CNY in NUMERIC without limits of scale. A closed invoice never changes: the application's role may select
-- and insert there and no more. There are no foreign keys: an invoice, its lines, its adjustments and its row in closes are
-- written in one transaction, the same way each time, and every export recounts them; a check of each row would double
-- the cost of a close.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vnum_app') THEN
        CREATE ROLE vnum_app LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another process was quicker; roles belong to the whole server
END
$$;

-- Prices. A version holds from effective_from until the next version of its tariff.
CREATE TABLE tariffs (
    tariff_id      text        NOT NULL,
    version        integer     NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    rental_day     numeric     NOT NULL CHECK (rental_day >= 0 AND rental_day < 'Infinity'),
    call_minute    numeric     NOT NULL CHECK (call_minute >= 0 AND call_minute < 'Infinity'),
    PRIMARY KEY (tariff_id, version),
    UNIQUE (tariff_id, effective_from)
);

INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute)
VALUES ('default', 1, '1970-01-01 00:00:00+00', 0.00018, 0.02);

-- A row marks a merchant's month as closed for writers; `closes` says that the close was completed.
CREATE TABLE periods (
    merchant_id text        NOT NULL,
    period      date        NOT NULL CHECK (extract(day FROM period) = 1),
    ends_at     timestamptz NOT NULL,
    marked_at   timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, period)
);

-- Serves the test that every writer of usage makes.
CREATE INDEX periods_end ON periods (merchant_id, ends_at);

-- Serves the test that adding a tariff version makes: the last end of all.
CREATE INDEX periods_last_end ON periods (ends_at);

-- The last serial given out, per series; the row lock makes numbers gapless (billing rule 6.9).
CREATE TABLE invoice_serials (
    issuer      text    NOT NULL,
    year        integer NOT NULL,
    last_serial bigint  NOT NULL CHECK (last_serial > 0),
    PRIMARY KEY (issuer, year)
);

CREATE TABLE invoices (
    invoice_number    text        PRIMARY KEY,
    issuer            text        NOT NULL,
    year              integer     NOT NULL, -- of closed_at, Asia/Shanghai
    serial            bigint      NOT NULL,
    merchant_id       text        NOT NULL,
    period            date        NOT NULL CHECK (extract(day FROM period) = 1),
    invoice_title     text,                 -- as it stood at the close
    tax_no            text,
    closed_at         timestamptz NOT NULL,
    adjustments_count bigint      NOT NULL,
    adjustments_total numeric     NOT NULL,
    total_exact       numeric     NOT NULL, -- lines + adjustments
    carried_in        numeric     NOT NULL, -- carried_out of the merchant's invoice before this one
    balance           numeric     NOT NULL CHECK (balance = carried_in + total_exact),
    amount_due        numeric     NOT NULL CHECK (amount_due = round(balance, 2)),
    carried_out       numeric     NOT NULL CHECK (carried_out = balance - amount_due),
    UNIQUE (merchant_id, period),
    -- The number is made of the series and the serial, so the primary key keeps these unique as well.
    CHECK (invoice_number = issuer || '-' || year || '-' || lpad(serial::text, greatest(6, length(serial::text)), '0'))
);

CREATE INDEX invoices_period ON invoices (period, merchant_id COLLATE "C");

CREATE TABLE invoice_lines (
    invoice_number text        NOT NULL,
    line_no        integer     NOT NULL CHECK (line_no > 0),
    item           smallint    NOT NULL CHECK (item IN (0, 1)), -- 0 number rental, 1 call charge
    tariff_id      text        NOT NULL,
    tariff_version integer     NOT NULL,
    rate           numeric     NOT NULL,
    starts_at      timestamptz NOT NULL, -- what begins in [starts_at, ends_at) is priced here
    ends_at        timestamptz NOT NULL,
    count          bigint      NOT NULL, -- bindings or calls
    quantity       bigint      NOT NULL, -- days or minutes
    amount         numeric     NOT NULL CHECK (amount = rate * quantity),
    PRIMARY KEY (invoice_number, line_no)
);

-- Calls that arrived after their month was closed (billing rule 6.6): whole copies, so that an invoice explains itself.
CREATE TABLE invoice_adjustments (
    merchant_id    text        NOT NULL,
    call_id        text        NOT NULL,
    invoice_number text        NOT NULL,
    biz_date       date        NOT NULL, -- the original date, Asia/Shanghai
    order_id       text        NOT NULL,
    binding_id     uuid        NOT NULL,
    answered_at    timestamptz NOT NULL,
    released_at    timestamptz NOT NULL,
    seconds        integer     NOT NULL,
    minutes        integer     NOT NULL,
    tariff_id      text        NOT NULL,
    tariff_version integer     NOT NULL,
    rate           numeric     NOT NULL,
    amount         numeric     NOT NULL,
    PRIMARY KEY (merchant_id, call_id)
);

CREATE INDEX invoice_adjustments_invoice ON invoice_adjustments (invoice_number);

-- The close of a merchant's month is complete, with an invoice or (no usage, no adjustment) without.
CREATE TABLE closes (
    merchant_id    text        NOT NULL,
    period         date        NOT NULL,
    invoice_number text,
    closed_at      timestamptz NOT NULL,
    PRIMARY KEY (period, merchant_id)
);

-- A span in days, rounded up (also below zero). Subtracting two timestamptz is in microseconds, whatever the session's
-- time zone, and fills "days" with 24 hours each, so the day field is exact.
CREATE FUNCTION days_begun(span interval) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN extract(day FROM span)::integer + (span > date_trunc('day', span))::integer;

-- How many of a binding's days start in [starts_at, ends_at) (billing rule 6.2; the same as billing/rental.py). Rounding
-- up is monotone, so the earlier of the two ends decides; a binding that began has at least one day.
CREATE FUNCTION rental_days(bound_at timestamptz, ended_at timestamptz, starts_at timestamptz, ends_at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN bound_at >= ends_at THEN 0 ELSE greatest(0,
    greatest(1, days_begun(least(ended_at, ends_at) - bound_at))
    - CASE WHEN bound_at >= starts_at THEN 0 ELSE days_begun(starts_at - bound_at) END
) END;

REVOKE ALL ON tariffs, periods, invoice_serials, invoices, invoice_lines, invoice_adjustments, closes FROM PUBLIC, vnum_app;
GRANT SELECT ON tariffs TO vnum_app;
GRANT SELECT, INSERT ON periods, closes, invoices, invoice_lines, invoice_adjustments TO vnum_app;
GRANT SELECT, INSERT, UPDATE ON invoice_serials TO vnum_app;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO vnum_app', current_schema());
    -- A close keeps its sums in temporary tables. Asked first, since most servers grant this to everyone.
    IF NOT has_database_privilege('vnum_app', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO vnum_app', current_database());
    END IF;
END
$$;
