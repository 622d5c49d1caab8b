-- Keys have up to two secrets at once: the present one, and for the overlap of a rotation the former one. A bearer key
-- keeps only hashes of its secrets; a key that signs its requests (signed) keeps them sealed by the vault, since the
-- signature has to be made again. used_on = the last day (UTC) on which it was used.
ALTER TABLE api_keys
    ALTER COLUMN secret_hash DROP NOT NULL,
    ADD COLUMN secret_sealed bytea,
    ADD COLUMN secret_at timestamptz,
    ADD COLUMN former_hash bytea,
    ADD COLUMN former_sealed bytea,
    ADD COLUMN former_at timestamptz,
    ADD COLUMN former_ends_at timestamptz,
    ADD COLUMN signed boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN rate_per_s integer CHECK (rate_per_s BETWEEN 0 AND 1000000),
    ADD COLUMN used_on date,
    ADD CONSTRAINT secret_of_its_kind CHECK ((secret_sealed IS NOT NULL) = signed AND (secret_hash IS NULL) = signed),
    ADD CONSTRAINT former_of_its_kind CHECK (
        (former_ends_at IS NULL) = (former_at IS NULL)
        AND (former_ends_at IS NOT NULL AND signed) = (former_sealed IS NOT NULL)
        AND (former_ends_at IS NOT NULL AND NOT signed) = (former_hash IS NOT NULL));
UPDATE api_keys SET secret_at = created_at;
ALTER TABLE api_keys ALTER COLUMN secret_at SET NOT NULL;

-- For which merchants a service provider's key (isv) may act: each by the merchant's own grant. A grant that was
-- withdrawn stays as history; a new one is a row of its own.
CREATE TABLE grants (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text COLLATE "C" NOT NULL REFERENCES merchants,
    isv text COLLATE "C" NOT NULL REFERENCES api_keys,
    granted_at timestamptz NOT NULL,
    granted_by text NOT NULL,
    withdrawn_at timestamptz,
    withdrawn_by text
);
CREATE UNIQUE INDEX grants_in_force ON grants (isv, merchant_id) WHERE withdrawn_at IS NULL;
CREATE INDEX grants_of_merchants ON grants (merchant_id, entry);
SELECT tenant_policies('grants');

-- Nonces of signed requests, each good once; until = when its timestamp is out of range by itself.
CREATE TABLE nonces (
    key_id text COLLATE "C" NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (key_id, nonce)
);
CREATE INDEX nonces_until ON nonces (until);

GRANT SELECT, INSERT ON grants TO vnum_app;
GRANT UPDATE (withdrawn_at, withdrawn_by) ON grants TO vnum_app;
GRANT SELECT ON grants TO vnum_tenant;
GRANT SELECT, INSERT, DELETE ON nonces TO vnum_app;
