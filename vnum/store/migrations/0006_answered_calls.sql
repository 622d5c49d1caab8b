-- What billing reads to rate a month anew (billing/migrations/0004_notes.sql): the calls that cost nothing as well.
CREATE VIEW usage_answered AS
    SELECT merchant_id, order_id, binding_id, call_id, biz_at AS answered_at, release_time AS released_at,
           seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, late
    FROM calls WHERE seconds > 0;
GRANT SELECT ON usage_answered TO vnum_app;
