-- Who may ring whom, and the recipient's no. Phones stand here as keyed hashes, and sealed where people have to see
-- their ends. What says yes or no to a call (opt_outs, callers, blacklist, call_policies) is small, is written seldom
-- and read with every call: it belongs to no cell (reference tables on Citus). What grows with calls has its cell first.

-- The recipient's no. merchant_id '' = every shop's calls. scope `merchant` stops the shop's agents, ISVs and robots and
-- whoever is not known; `everything` stops all, and new numbers too; `caller` stops one caller (caller_hash), after a
-- complaint. A no that was taken back stays: who said it and when, who took it back and when.
CREATE TABLE opt_outs (
    opt_out_id uuid PRIMARY KEY,
    recipient_hash bytea NOT NULL,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('merchant', 'everything', 'caller')),
    merchant_id text COLLATE "C" NOT NULL DEFAULT '',
    caller_hash bytea NOT NULL DEFAULT '',
    said_at timestamptz NOT NULL,
    said_by text NOT NULL,
    why text,
    withdrawn_at timestamptz,
    withdrawn_by text,
    CHECK ((scope = 'caller') = (caller_hash <> '')),
    CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE UNIQUE INDEX opt_outs_in_force ON opt_outs (recipient_hash, scope, merchant_id, caller_hash)
    WHERE withdrawn_at IS NULL;

-- Callers that somebody answers for: agents and robots of a merchant, couriers of a carrier ('' = none).
CREATE TABLE callers (
    caller_id uuid PRIMARY KEY,
    phone_hash bytea NOT NULL,
    class text COLLATE "C" NOT NULL CHECK (class IN ('merchant_agent', 'courier', 'robot')),
    merchant_id text COLLATE "C" NOT NULL DEFAULT '',
    carrier text COLLATE "C" NOT NULL DEFAULT '',
    caller_group text COLLATE "C",
    verified boolean NOT NULL,
    phone bytea NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CHECK (CASE WHEN class = 'courier' THEN carrier <> '' ELSE merchant_id <> '' AND carrier = '' END)
);
CREATE UNIQUE INDEX callers_once ON callers (phone_hash, class, merchant_id, carrier);

-- Phones that may not ring (`caller`) or not be rung (`callee`) through vnum. merchant_id '' = of all merchants.
CREATE TABLE blacklist (
    blacklist_id uuid PRIMARY KEY,
    phone_hash bytea NOT NULL,
    direction text COLLATE "C" NOT NULL CHECK (direction IN ('caller', 'callee')),
    merchant_id text COLLATE "C" NOT NULL DEFAULT '',
    phone bytea NOT NULL,
    reason text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);
CREATE UNIQUE INDEX blacklist_once ON blacklist (phone_hash, direction, merchant_id);

-- What a merchant's calls may do, as JSON of the fields that he sets; the others are the platform's.
CREATE TABLE call_policies (
    merchant_id text COLLATE "C" PRIMARY KEY,
    policy text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL
);

-- The connected calls of the last day to a recipient whose calls are capped; cell = H(recipient). One row, so that its
-- lock makes count and decision one. hour_ago, day_ago and caps (merchant's hour and day, everybody's hour and day) are
-- those of the last call: an upsert judges by what its row brings along.
CREATE TABLE contacts (
    cell smallint NOT NULL,
    recipient_hash bytea NOT NULL,
    instants timestamptz[] NOT NULL,
    merchants text[] NOT NULL,
    hour_ago timestamptz NOT NULL,
    day_ago timestamptz NOT NULL,
    caps int[] NOT NULL,
    PRIMARY KEY (cell, recipient_hash)
) WITH (fillfactor = 70);

CREATE FUNCTION contacts_since(instants timestamptz[], merchants text[], since timestamptz, of_merchant text)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT count(*) FROM unnest(instants, merchants) AS c (instant, merchant_id)
    WHERE c.instant > since AND (of_merchant IS NULL OR c.merchant_id = of_merchant)
$$;

-- Who was connected through which binding: who may hear that it lapsed.
CREATE TABLE reached (
    cell smallint NOT NULL,
    binding_id uuid NOT NULL,
    caller_hash bytea NOT NULL,
    PRIMARY KEY (cell, binding_id, caller_hash)
);

-- Calls that were refused, for the merchant of the binding ('' = there was none): never who rang.
CREATE TABLE call_attempts (
    cell smallint NOT NULL,
    attempt_id uuid NOT NULL,
    at timestamptz NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    binding_id uuid,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    class text COLLATE "C" NOT NULL,
    PRIMARY KEY (cell, attempt_id)
);
CREATE INDEX call_attempts_by_merchant ON call_attempts (merchant_id, at, attempt_id);

-- What a recipient keyed in after a call; cell = H(call_id). The hashes are forgotten when they count no more.
CREATE TABLE call_marks (
    cell smallint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    mark text COLLATE "C" NOT NULL,
    marked_at timestamptz NOT NULL,
    binding_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    caller_hash bytea,
    recipient_hash bytea,
    PRIMARY KEY (cell, call_id, mark)
);
CREATE INDEX call_marks_by_recipient ON call_marks (recipient_hash, merchant_id, marked_at);
CREATE INDEX call_marks_by_caller ON call_marks (caller_hash, marked_at);
CREATE INDEX call_marks_by_merchant ON call_marks (merchant_id, marked_at);

-- A refusal that is the same call's, but counts for no lock (the caller is locked out already, or is the merchant's own).
ALTER TABLE wrong_extensions ADD COLUMN counts boolean NOT NULL DEFAULT true;

-- Who rang, for a mark that comes before the call's record, which then says it (and is forgotten at its time).
ALTER TABLE call_keys ADD COLUMN caller_hash bytea;

-- Only this group of the merchant's callers may ring; null = as his policy says.
ALTER TABLE bindings ADD COLUMN caller_group text COLLATE "C";

-- How routed calls reach their statement (sql/routes.sql).
CREATE TYPE route_filed AS (
    n int, call_cell smallint, call_id text COLLATE "C", host text COLLATE "C", caller_hash bytea,
    digits text COLLATE "C", actor text, at timestamptz, code text COLLATE "C", class text COLLATE "C",
    binding_id uuid, merchant_id text COLLATE "C", order_id text COLLATE "C", attempt_id uuid, counts boolean,
    since timestamptz, most int, lock_until timestamptz, recipient_cell smallint, recipient_hash bytea,
    hour_ago timestamptz, day_ago timestamptz, caps int[]
);

SELECT tenant_policies('opt_outs');
SELECT tenant_policies('callers');
SELECT tenant_policies('blacklist');
SELECT tenant_policies('call_policies');
SELECT tenant_policies('call_attempts');
SELECT tenant_policies('call_marks');
GRANT SELECT, INSERT ON opt_outs, callers, blacklist, call_policies, contacts, reached, call_attempts, call_marks
    TO vnum_app;
GRANT UPDATE (withdrawn_at, withdrawn_by) ON opt_outs TO vnum_app;
GRANT UPDATE (caller_group, verified) ON callers TO vnum_app;
GRANT UPDATE ON call_policies, contacts TO vnum_app;
GRANT DELETE ON callers, blacklist, contacts, reached, call_attempts TO vnum_app;
GRANT UPDATE (caller_hash, recipient_hash) ON call_marks TO vnum_app;
-- Nothing that is sealed, and no blind index of a person.
GRANT SELECT ON call_policies, call_attempts TO vnum_tenant;
GRANT SELECT (caller_id, class, merchant_id, carrier, caller_group, verified, created_at) ON callers TO vnum_tenant;
GRANT SELECT (blacklist_id, direction, merchant_id, reason, created_at) ON blacklist TO vnum_tenant;
GRANT SELECT (cell, call_id, mark, marked_at, merchant_id) ON call_marks TO vnum_tenant;
