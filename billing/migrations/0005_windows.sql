-- What was added can be superseded before it begins: of two versions of a tariff, or two assignments of a merchant, that
-- begin at one instant, the one added later counts. And one place says which prices hold for whom and when.

ALTER TABLE tariffs DROP CONSTRAINT tariffs_tariff_id_effective_from_key;
CREATE INDEX tariffs_effective ON tariffs (tariff_id, effective_from, version);

ALTER TABLE tariff_assignments
    ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY,
    DROP CONSTRAINT tariff_assignments_pkey,
    ADD PRIMARY KEY (merchant_id, effective_from, entry);

-- Which tariff version prices what begins in [window_from, window_until), for each merchant: his assignments, those that
-- change anything, cut by the versions of the tariffs. The free minutes of a month are those of the window in which the
-- month, or the merchant, begins (billing rule 6.12): the first that ends after both instants.
CREATE FUNCTION priced_windows(
    merchants text[], opened timestamptz[], window_from timestamptz, window_until timestamptz)
RETURNS TABLE (
    merchant_id text, opened_at timestamptz, tariff_id text, version integer, rental_count text, rental_day numeric,
    free_minutes integer, tax_mode text, tax_rate numeric, starts_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH account AS (
    SELECT * FROM unnest(merchants, opened) m (merchant_id, opened_at)
), chosen AS (
    SELECT m.merchant_id, m.opened_at, 'default' AS tariff_id, '-infinity'::timestamptz AS since, 0::bigint AS entry
    FROM account m
    UNION ALL
    SELECT m.merchant_id, m.opened_at, a.tariff_id, a.effective_from, a.entry
    FROM account m JOIN tariff_assignments a ON a.merchant_id = m.merchant_id
    WHERE a.effective_from < window_until
), lasting AS (
    SELECT DISTINCT ON (c.merchant_id, c.since) c.* FROM chosen c ORDER BY c.merchant_id, c.since, c.entry DESC
), changes AS (
    SELECT l.*, l.tariff_id IS DISTINCT FROM lag(l.tariff_id) OVER (PARTITION BY l.merchant_id ORDER BY l.since) AS changed
    FROM lasting l
), spells AS (
    SELECT c.merchant_id, c.opened_at, c.tariff_id, c.since,
           lead(c.since, 1, 'infinity') OVER (PARTITION BY c.merchant_id ORDER BY c.since) AS until
    FROM changes c WHERE c.changed
), versions AS (
    SELECT t.*, t.effective_from AS since,
           lead(t.effective_from, 1, 'infinity') OVER (PARTITION BY t.tariff_id ORDER BY t.effective_from, t.version) AS until
    FROM tariffs t
)
SELECT s.merchant_id, s.opened_at, v.tariff_id, v.version, v.rental_count, v.rental_day, v.free_minutes, v.tax_mode,
       v.tax_rate, greatest(s.since, v.since, window_from), least(s.until, v.until, window_until)
FROM spells s
JOIN versions v ON v.tariff_id = s.tariff_id
WHERE greatest(s.since, v.since, window_from) < least(s.until, v.until, window_until)
$$;
