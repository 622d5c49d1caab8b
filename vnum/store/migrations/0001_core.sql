-- The system of record. What may grow without bound has `cell smallint` first in its key, so that
-- it can be distributed by cell (Citus): the distribution column stands in every primary key and
-- unique constraint, no foreign key crosses tables, and there are no triggers. The small tables
-- (merchants, hosts, keys) are reference tables there.
-- Key columns that are text compare as bytes (COLLATE "C"): codes, never words.

-- The role vnum_app and the table periods come from billing's migrations, which run first.

CREATE TABLE merchants (
    merchant_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    invoice_title text,
    tax_no text,
    tariff_id text NOT NULL DEFAULT 'default',
    service_number text,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_at timestamptz NOT NULL
);

-- quarantine_days null = a slot is never used again. revision rises with every change, so that
-- workers notice cheaply that their copy is old.
CREATE SEQUENCE host_revisions;
CREATE TABLE hosts (
    host text COLLATE "C" PRIMARY KEY CHECK (host ~ '^[0-9]{11}$'),
    cell smallint NOT NULL,
    city text,
    carrier text,
    plan text NOT NULL CHECK (plan IN ('host_ext', '700')),
    ext_digits smallint NOT NULL CHECK (ext_digits BETWEEN 1 AND 4),
    ext_check text NOT NULL CHECK (ext_check IN ('none', 'damm')),
    quarantine_days smallint CHECK (quarantine_days BETWEEN 1 AND 3650),
    max_live integer CHECK (max_live > 0),
    state text NOT NULL CHECK (state IN ('active', 'draining', 'locked', 'retired')),
    created_at timestamptz NOT NULL,
    revision bigint NOT NULL DEFAULT nextval('host_revisions')
);
CREATE INDEX hosts_by_revision ON hosts (revision);

-- One row a (host, extension) that was ever bound: its last binding and until when it is held.
-- holder_* are short keyed hashes of the last holder's order and recipient (a slot never goes back
-- to them); former_* keep the holder before, should a binding be undone before anyone saw it.
CREATE TABLE slots (
    cell smallint NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    ended_at timestamptz NOT NULL,
    held_until timestamptz NOT NULL,
    holder_order bigint,
    holder_recipient bigint,
    former_order bigint,
    former_recipient bigint,
    PRIMARY KEY (cell, host, extension)
) WITH (fillfactor = 85);

-- Slots taken in a statement whose order another statement had bound meanwhile: written with the
-- slot, in the same commit, so that it comes back into use even if the process dies before it acts.
CREATE TABLE orphans (
    cell smallint NOT NULL,
    binding_id uuid NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    PRIMARY KEY (cell, binding_id)
);

-- One row an order: its current (or last) binding.
CREATE TABLE orders (
    cell smallint NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    mode text NOT NULL,
    order_status text NOT NULL,
    recipient_hash bytea,
    bound_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    released boolean NOT NULL DEFAULT false,
    PRIMARY KEY (cell, merchant_id, order_id)
) WITH (fillfactor = 85);

-- History, by month of bound_at (UTC): the id is a UUIDv7 of bound_at, so a range of ids is a month
-- and a look-up by id goes to one partition. expires_at moves by extend; ended_at = expires_at until
-- a release. recipient and recipient_name are ciphertext under key_id, null once erased.
CREATE TABLE bindings (
    cell smallint NOT NULL,
    binding_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    mode text NOT NULL,
    city text,
    city_strict boolean NOT NULL,
    ttl_days smallint NOT NULL,
    bound_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    release_reason text,
    key_id smallint NOT NULL,
    recipient bytea,
    recipient_hash bytea,
    recipient_name bytea,
    PRIMARY KEY (cell, binding_id)
) PARTITION BY RANGE (binding_id);
-- Without cell in front: a look-up by id must not find this index as good as the primary key.
CREATE INDEX bindings_by_slot ON bindings (host, extension, bound_at);

-- Which order a parcel belongs to; cell = H(carrier, waybill_no).
CREATE TABLE waybills (
    cell smallint NOT NULL,
    carrier text COLLATE "C" NOT NULL,
    waybill_no text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (cell, carrier, waybill_no)
);
CREATE INDEX waybills_by_order ON waybills (merchant_id, order_id);

-- What route decided for a call, and the content of its record once that came: makes call ids
-- unique across months and hosts. cell = H(call_id). content null = no record yet.
CREATE TABLE call_keys (
    cell smallint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    binding_id uuid,
    content bytea,
    minutes integer,
    cost numeric,
    PRIMARY KEY (cell, call_id)
);

-- Call records with their working. biz_at dates the call: its answer, or the dial when unanswered.
-- Charged iff seconds > 0. late = its month was already closed for the merchant when it arrived.
CREATE TABLE calls (
    cell smallint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    biz_at timestamptz NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C",
    binding_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    key_id smallint NOT NULL,
    caller bytea,
    caller_hash bytea,
    call_time timestamptz NOT NULL,
    ring_time timestamptz,
    answer_time timestamptz,
    release_time timestamptz NOT NULL,
    release_dir smallint,
    release_cause smallint,
    seconds integer NOT NULL,
    minutes integer NOT NULL,
    rate numeric NOT NULL,
    cost numeric NOT NULL,
    tariff_id text NOT NULL,
    tariff_version integer NOT NULL,
    late boolean NOT NULL,
    PRIMARY KEY (cell, biz_at, call_id)
) PARTITION BY RANGE (biz_at);
CREATE INDEX calls_by_merchant ON calls (merchant_id, biz_at);
CREATE INDEX calls_late ON calls (merchant_id) WHERE late;

-- Records that were not taken (rejected, conflict), kept for review: sealed whole, since a phone may stand anywhere in
-- one.
CREATE TABLE call_reviews (
    cell smallint NOT NULL,
    review_id uuid NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('rejected', 'conflict')),
    code text NOT NULL,
    content bytea NOT NULL,
    key_id smallint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (cell, review_id)
);
CREATE UNIQUE INDEX call_reviews_once ON call_reviews (cell, call_id, content);

-- Extensions that reached nobody, once per call and digits (a keyed hash of them: people key in phones by mistake); and
-- who is locked out for it.
CREATE TABLE wrong_extensions (
    cell smallint NOT NULL,
    host text COLLATE "C" NOT NULL,
    caller_hash bytea NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    digits text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (cell, host, caller_hash, call_id, digits)
);
CREATE TABLE lockouts (
    cell smallint NOT NULL,
    host text COLLATE "C" NOT NULL,
    caller_hash bytea NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (cell, host, caller_hash)
);

-- The highest instant that each writer committed in a cell (a clock behind it uses it). A writer is
-- a connection's number modulo 64: the writers do not wait for one another's row.
CREATE TABLE clocks (
    cell smallint NOT NULL,
    writer smallint NOT NULL,
    instant timestamptz NOT NULL,
    PRIMARY KEY (cell, writer)
) WITH (fillfactor = 50);

-- An operator's word that a leap of the server's clock is right.
CREATE TABLE clock_accepts (
    accepted_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instant timestamptz NOT NULL,
    operator text NOT NULL
);

-- Which master keys sealed what is here: a keyed hash of a constant, so that another key is noticed before it seals.
CREATE TABLE master_keys (
    key_id smallint PRIMARY KEY,
    proof bytea NOT NULL
);

-- secret_hash = SHA-256 of the secret half of the key (128 random bits or more, so no salt is owed).
CREATE TABLE api_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    secret_hash bytea NOT NULL,
    role text NOT NULL CHECK (role IN ('platform', 'merchant', 'isv', 'courier', 'finance', 'switch', 'admin')),
    merchants text[],
    carrier text,
    note text,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- Answers kept for 24 h, so that a POST repeated under its Idempotency-Key changes nothing. status 0 = claimed by a
-- request that was not answered yet.
CREATE TABLE idempotency_keys (
    scope text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    body_hash bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (scope, idempotency_key)
);

-- The first id of an instant's millisecond: the lowest UUIDv7 that can carry it.
CREATE FUNCTION first_id(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the partitions of the months of [from, until] that are missing. The application may call it, and may do nothing
-- else to the shape of the tables. A month is made aside and then attached: that waits for no reader, and no reader or
-- writer waits for it. The search path ends with pg_temp, or a caller's own types and functions would be taken first.
CREATE FUNCTION ensure_months(from_at timestamptz, until_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month timestamptz := date_trunc('month', from_at, 'UTC');
    after timestamptz;
    suffix text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.ensure_months', 0));
    WHILE month <= until_at LOOP
        after := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
        suffix := to_char(month AT TIME ZONE 'UTC', '"_"YYYY"_"MM');
        IF to_regclass(format('%I.%I', current_schema(), 'bindings' || suffix)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE bindings INCLUDING ALL)', 'bindings' || suffix);
            EXECUTE format('ALTER TABLE bindings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           'bindings' || suffix, first_id(month), first_id(after));
            EXECUTE format('CREATE TABLE %I (LIKE calls INCLUDING ALL)', 'calls' || suffix);
            EXECUTE format('ALTER TABLE calls ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           'calls' || suffix, month, after);
            made := made + 1;
        END IF;
        month := after;
    END LOOP;
    RETURN made;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ensure_months SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION ensure_months FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_months TO vnum_app;

-- What billing reads (its contract): who pays, the bindings' intervals, the charged calls.
CREATE VIEW usage_accounts AS
    SELECT merchant_id, created_at AS opened_at, tariff_id, invoice_title, tax_no FROM merchants;
CREATE VIEW usage_rentals AS
    SELECT merchant_id, order_id, binding_id, bound_at, ended_at FROM bindings;
CREATE VIEW usage_calls AS
    SELECT merchant_id, order_id, binding_id, call_id, biz_at AS answered_at, release_time AS released_at,
           seconds, minutes, cost, tariff_id, tariff_version, rate, late
    FROM calls WHERE seconds > 0;

GRANT SELECT, INSERT, UPDATE ON merchants, hosts, slots, orders, bindings, waybills, call_keys, lockouts, clocks,
    api_keys, idempotency_keys TO vnum_app;
GRANT SELECT, INSERT ON calls, call_reviews, clock_accepts, master_keys TO vnum_app;
GRANT SELECT, INSERT, DELETE ON orphans, wrong_extensions TO vnum_app;
GRANT UPDATE ON wrong_extensions TO vnum_app;
GRANT DELETE ON lockouts, idempotency_keys TO vnum_app;
GRANT SELECT ON usage_accounts, usage_rentals, usage_calls TO vnum_app;
GRANT USAGE ON SEQUENCE host_revisions TO vnum_app;
