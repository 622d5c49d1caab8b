-- Who did what to which, when and why. The application may add entries and read them; it can neither change nor delete
-- one. An entry is written in the transaction of what it tells, one a batch, and waits for nobody. It is linked into
-- the chain of its cell a moment later, by a function of the owner's: hash = SHA-256(hash of the one before, entry).
--
-- actors[n] did it to subjects[n]: ids, never a phone.
CREATE TABLE audit_entries (
    cell smallint NOT NULL,
    entry_id uuid NOT NULL,
    at timestamptz NOT NULL,
    did text COLLATE "C" NOT NULL,
    actors text[] NOT NULL,
    subjects text[] NOT NULL,
    why text,
    seq bigint,
    hash bytea,
    PRIMARY KEY (cell, entry_id)
);
CREATE INDEX audit_unlinked ON audit_entries (cell, entry_id) WHERE seq IS NULL;
CREATE UNIQUE INDEX audit_by_seq ON audit_entries (cell, seq);

-- The end of each chain, and where it begins since older entries were forgotten (seq and hash of the last of those).
CREATE TABLE audit_heads (
    cell smallint PRIMARY KEY,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    first_seq bigint NOT NULL DEFAULT 0,
    first_hash bytea NOT NULL DEFAULT ''
);

-- What is hashed: a JSON array, which vnum/service/audit.py writes alike when it verifies.
CREATE FUNCTION audit_text(e audit_entries, seq bigint) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT convert_to(jsonb_build_array(
        e.cell, seq, e.entry_id, (extract(epoch FROM e.at) * 1000000)::bigint, e.did, to_jsonb(e.actors),
        to_jsonb(e.subjects), e.why)::text, 'UTF8')
$$;

-- Links up to `most` entries of a cell; how many there were.
CREATE FUNCTION link_audit(of_cell smallint, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head audit_heads;
    entry audit_entries;
    linked integer := 0;
BEGIN
    INSERT INTO audit_heads (cell, seq, hash) VALUES (of_cell, 0, '') ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM audit_heads WHERE cell = of_cell FOR UPDATE;
    FOR entry IN SELECT * FROM audit_entries WHERE cell = of_cell AND seq IS NULL ORDER BY entry_id LIMIT most LOOP
        head.seq := head.seq + 1;
        head.hash := sha256(head.hash || audit_text(entry, head.seq));
        UPDATE audit_entries SET seq = head.seq, hash = head.hash WHERE cell = of_cell AND entry_id = entry.entry_id;
        linked := linked + 1;
    END LOOP;
    UPDATE audit_heads SET seq = head.seq, hash = head.hash WHERE cell = of_cell AND linked > 0;
    RETURN linked;
END $$;

-- Drops a cell's linked entries of before an instant, half a year back at the least; how many there were.
CREATE FUNCTION forget_audit(of_cell smallint, before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    newest audit_entries;
    dropped bigint;
BEGIN
    IF before > clock_timestamp() - interval '183 days' THEN
        RAISE EXCEPTION 'audit entries are kept for half a year at the least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM audit_heads WHERE cell = of_cell FOR UPDATE;
    SELECT * INTO newest FROM audit_entries e
    WHERE e.cell = of_cell AND e.seq < (SELECT coalesce(min(k.seq), 9223372036854775807) FROM audit_entries k
                                        WHERE k.cell = of_cell AND k.seq IS NOT NULL AND k.at >= before)
    ORDER BY e.seq DESC LIMIT 1;
    DELETE FROM audit_entries e WHERE e.cell = of_cell AND e.seq <= newest.seq;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    UPDATE audit_heads SET first_seq = newest.seq, first_hash = newest.hash
    WHERE cell = of_cell AND newest.seq IS NOT NULL;
    RETURN dropped;
END $$;

-- Who reads for a tied key: a role of its own, which row-level security shows what the key is tied to and no more.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vnum_tenant') THEN
        CREATE ROLE vnum_tenant NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another process was quicker; roles belong to the whole server
END $$;
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO vnum_tenant', current_schema());
    GRANT vnum_tenant TO vnum_app;
EXCEPTION WHEN unique_violation THEN
    NULL; -- granted by another process at this moment
END $$;

-- The merchants of the key that the present transaction works for; null (so: none) where nobody said.
CREATE FUNCTION tied_merchants() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('vnum.merchants', true), '')::text[]
$$;

-- Row-level security of a table that has a merchant_id: all rows for the application, the tied merchants' for a tenant.
CREATE FUNCTION tenant_policies(of_table regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', of_table);
    EXECUTE format('CREATE POLICY app ON %s TO vnum_app USING (true) WITH CHECK (true)', of_table);
    EXECUTE format('CREATE POLICY tenant ON %s TO vnum_tenant USING (merchant_id = ANY ((SELECT tied_merchants())::text[])) '
                   'WITH CHECK (merchant_id = ANY ((SELECT tied_merchants())::text[]))', of_table);
END $$;
REVOKE ALL ON FUNCTION tenant_policies FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION link_audit SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION forget_audit SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION link_audit, forget_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION link_audit, forget_audit TO vnum_app;
GRANT SELECT, INSERT ON audit_entries TO vnum_app;
GRANT SELECT ON audit_heads TO vnum_app;
