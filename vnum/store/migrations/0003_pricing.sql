-- Calls are priced in units (billing/migrations/0002_pricing.sql): cost = setup_fee + units x rate, a unit being unit_s
-- seconds. Until now a unit was a minute.
ALTER TABLE calls
    ADD COLUMN units integer,
    ADD COLUMN unit_s integer NOT NULL DEFAULT 60,
    ADD COLUMN setup_fee numeric NOT NULL DEFAULT 0;
UPDATE calls SET units = minutes;
ALTER TABLE calls
    ALTER COLUMN units SET NOT NULL,
    ALTER COLUMN unit_s DROP DEFAULT,
    ALTER COLUMN setup_fee DROP DEFAULT;

-- What one merchant had in a month: drafts, spending, his invoice's rows.
CREATE INDEX bindings_by_merchant ON bindings (merchant_id, bound_at);

-- Which tariff a merchant pays is billing's, by instant.
INSERT INTO tariff_assignments (merchant_id, effective_from, tariff_id, assigned_at, assigned_by)
SELECT merchant_id, '1970-01-01 00:00:00+00', tariff_id, created_at, 'migration' FROM merchants WHERE tariff_id <> 'default';

DROP VIEW usage_accounts, usage_calls;
ALTER TABLE merchants DROP COLUMN tariff_id;
CREATE VIEW usage_accounts AS
    SELECT merchant_id, created_at AS opened_at, invoice_title, tax_no FROM merchants;
CREATE VIEW usage_calls AS
    SELECT merchant_id, order_id, binding_id, call_id, biz_at AS answered_at, release_time AS released_at,
           seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, late
    FROM calls WHERE units > 0;
GRANT SELECT ON usage_accounts, usage_calls TO vnum_app;
