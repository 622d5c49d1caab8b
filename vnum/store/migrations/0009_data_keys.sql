-- What phones, names and records are sealed with: random keys, wrapped by the master key (vnum/vault). A month's key
-- seals what lies in the rows of that month (UTC), and is destroyed at the end of its term: the row stays and says when.
-- master_id = the master key that wrapped it, 0 = one kept by a command (KMS). No id is given twice.
CREATE TABLE data_keys (
    key_id smallint PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('month', 'standing', 'index')),
    month date CHECK (extract(day FROM month) = 1),
    wrapped bytea,
    master_id smallint NOT NULL,
    made_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CHECK ((purpose = 'month') = (month IS NOT NULL)),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK (destroyed_at IS NULL OR purpose = 'month'),
    UNIQUE NULLS NOT DISTINCT (purpose, month)
);
GRANT SELECT, INSERT, UPDATE (wrapped, master_id, destroyed_at) ON data_keys TO vnum_app;
