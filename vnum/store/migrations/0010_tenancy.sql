-- What a key that is tied to merchants, or to a carrier, reads is read by the role vnum_tenant (vnum/store/database.py),
-- which row-level security shows what it is tied to and no more. Here is all that this role may.

-- The carrier of the key that the present transaction works for; null (so: none) where nobody said.
CREATE FUNCTION tied_carrier() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('vnum.carrier', true), '')
$$;

-- The same for a table whose rows are a merchant's by another one of his, under which `its` column puts them.
CREATE FUNCTION tenant_policies_by(of_table regclass, its name, whose regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', of_table);
    EXECUTE format('CREATE POLICY app ON %s TO vnum_app USING (true) WITH CHECK (true)', of_table);
    EXECUTE format('CREATE POLICY tenant ON %1$s FOR SELECT TO vnum_tenant '
                   'USING (EXISTS (SELECT FROM %3$s AS w WHERE w.%2$I = %1$s.%2$I))', of_table, its, whose);
END $$;
REVOKE ALL ON FUNCTION tenant_policies_by FROM PUBLIC;

-- Row-level security goes with the whole table; partitions are reached through it only, since nobody is granted them.
SELECT tenant_policies(name::regclass) FROM unnest(ARRAY[
    'merchants', 'orders', 'bindings', 'waybills', 'calls',
    'periods', 'closes', 'invoices', 'invoice_adjustments', 'notes', 'disputes', 'tariff_assignments'
]) AS name;
SELECT tenant_policies_by('invoice_lines', 'invoice_number', 'invoices');
SELECT tenant_policies_by('invoice_taxes', 'invoice_number', 'invoices');
SELECT tenant_policies_by('note_lines', 'note_number', 'notes');
SELECT tenant_policies_by('note_carries', 'note_number', 'notes');

-- Whoever carries a parcel sees that waybill, its order, and the bindings of that order. What a policy asks for is itself
-- seen through the policies of the table asked: a carrier sees no waybills but his.
CREATE POLICY carrier ON waybills FOR SELECT TO vnum_tenant USING (carrier = (SELECT tied_carrier()));
CREATE POLICY carrier ON orders FOR SELECT TO vnum_tenant
    USING ((SELECT tied_carrier()) IS NOT NULL AND EXISTS (
        SELECT FROM waybills w WHERE w.carrier = (SELECT tied_carrier())
            AND w.merchant_id = orders.merchant_id AND w.order_id = orders.order_id));
CREATE POLICY carrier ON bindings FOR SELECT TO vnum_tenant
    USING ((SELECT tied_carrier()) IS NOT NULL AND EXISTS (
        SELECT FROM waybills w WHERE w.carrier = (SELECT tied_carrier())
            AND w.merchant_id = bindings.merchant_id AND w.order_id = bindings.order_id));

-- Price lists are nobody's; a tenant sees those that his merchants pay, now, once or soon, and the one that all pay who
-- chose none.
ALTER TABLE tariffs ENABLE ROW LEVEL SECURITY;
CREATE POLICY app ON tariffs TO vnum_app USING (true) WITH CHECK (true);
CREATE POLICY tenant ON tariffs FOR SELECT TO vnum_tenant
    USING (tariff_id = 'default' OR EXISTS (SELECT FROM tariff_assignments a WHERE a.tariff_id = tariffs.tariff_id));

-- Views see what their reader sees, not what their owner does.
ALTER VIEW usage_accounts SET (security_invoker = true);
ALTER VIEW usage_rentals SET (security_invoker = true);
ALTER VIEW usage_calls SET (security_invoker = true);
ALTER VIEW usage_answered SET (security_invoker = true);

-- Nothing that is sealed, and no blind index of a person.
GRANT SELECT ON merchants, waybills, usage_accounts, usage_rentals, usage_calls, usage_answered, tariffs,
    tariff_assignments, periods, closes, invoices, invoice_lines, invoice_taxes, invoice_adjustments, notes, note_lines,
    note_carries, disputes TO vnum_tenant;
GRANT SELECT (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status, bound_at, ended_at, released)
    ON orders TO vnum_tenant;
GRANT SELECT (cell, binding_id, merchant_id, order_id, host, extension, mode, city, city_strict, ttl_days, bound_at,
              expires_at, ended_at, release_reason) ON bindings TO vnum_tenant;
GRANT SELECT (cell, call_id, biz_at, host, extension, binding_id, merchant_id, order_id, call_time, ring_time,
              answer_time, release_time, release_dir, release_cause, seconds, minutes, units, unit_s, rate, setup_fee,
              cost, tariff_id, tariff_version, late) ON calls TO vnum_tenant;
-- Of nobody: the highest instants committed, and whether the schema is complete.
GRANT SELECT ON clocks TO vnum_tenant;
GRANT SELECT (instant) ON clock_accepts TO vnum_tenant;
GRANT SELECT (name) ON migrations TO vnum_tenant;
-- A merchant disputes his calls, and whatever a tied key does is written down.
GRANT INSERT (merchant_id, call_id, reason, author, opened_at) ON disputes TO vnum_tenant;
GRANT INSERT ON audit_entries TO vnum_tenant;

-- The live view of a month keeps its sums in temporary tables, as a close does.
DO $$
BEGIN
    IF NOT has_database_privilege('vnum_tenant', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO vnum_tenant', current_database());
    END IF;
END $$;
