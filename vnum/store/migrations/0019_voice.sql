-- Calls as they go: who is called back, which are dialled for an agent, what the switch tells meanwhile, and which have
-- no record yet.

-- When route connected a call, and from when on its record is missed. back = the recipient of the binding rang the host.
ALTER TABLE call_keys
    ADD COLUMN routed_at timestamptz,
    ADD COLUMN overdue_at timestamptz,
    ADD COLUMN back boolean NOT NULL DEFAULT false;
CREATE INDEX call_keys_unrecorded ON call_keys (overdue_at, call_id) WHERE content IS NULL AND overdue_at IS NOT NULL;

-- The last call of each who reached a recipient; who he is, says the record of that call, for as long as it says so.
ALTER TABLE reached
    ADD COLUMN call_cell smallint,
    ADD COLUMN call_id text COLLATE "C",
    ADD COLUMN at timestamptz;
GRANT UPDATE (caller_hash, call_cell, call_id, at) ON reached TO vnum_app;

-- Whose number a host is told of is asked by phone and host.
DROP INDEX bindings_by_recipient;
CREATE INDEX bindings_by_recipient ON bindings (recipient_hash, host) WHERE recipient_hash IS NOT NULL;

CREATE INDEX call_attempts_by_call ON call_attempts (call_id);

-- What a switch told of a call while it ran; cell = H(call_id). Names nobody.
CREATE TABLE call_states (
    cell smallint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('ringing_agent', 'collecting', 'ringing', 'answered', 'ended',
                                                     'failed')),
    at timestamptz NOT NULL,
    PRIMARY KEY (cell, call_id, state)
);
CREATE INDEX call_states_by_time ON call_states USING brin (at);

-- Calls that a merchant ordered: the agent is rung first, then the recipient. cell = H(call_id). The agent's phone is
-- sealed by the month's key, and forgotten (with its hash) when the call is over. recorded = its record is there, which
-- tells the rest.
CREATE TABLE dials (
    cell smallint NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    key_id smallint NOT NULL,
    agent bytea,
    agent_hash bytea,
    state text COLLATE "C" NOT NULL CHECK (state IN ('queued', 'taken', 'ringing_agent', 'collecting', 'ringing',
                                                     'answered', 'ended', 'failed')),
    code text COLLATE "C",
    ordered_by text COLLATE "C" NOT NULL,
    ordered_at timestamptz NOT NULL,
    take_by timestamptz NOT NULL,
    taken_by text COLLATE "C",
    taken_at timestamptz,
    changed_at timestamptz NOT NULL,
    recorded boolean NOT NULL DEFAULT false,
    PRIMARY KEY (cell, call_id)
);
CREATE INDEX dials_by_merchant ON dials (merchant_id, ordered_at);
CREATE INDEX dials_under_way ON dials (cell, ordered_at) WHERE NOT recorded;

-- A call's state never goes back: only one of a higher rank is taken.
CREATE FUNCTION call_rank(state text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE state WHEN 'queued' THEN 0 WHEN 'taken' THEN 1 WHEN 'ringing_agent' THEN 2 WHEN 'collecting' THEN 3
                      WHEN 'ringing' THEN 4 WHEN 'answered' THEN 5 ELSE 6 END
$$;

-- How decided calls reach their statement (sql/routes.sql): route_filed, and from when on a record is missed.
CREATE TYPE route_decided AS (
    n int, call_cell smallint, call_id text COLLATE "C", host text COLLATE "C", caller_hash bytea,
    digits text COLLATE "C", actor text, at timestamptz, code text COLLATE "C", class text COLLATE "C",
    binding_id uuid, merchant_id text COLLATE "C", order_id text COLLATE "C", attempt_id uuid, counts boolean,
    since timestamptz, most int, lock_until timestamptz, recipient_cell smallint, recipient_hash bytea,
    hour_ago timestamptz, day_ago timestamptz, caps int[], overdue_at timestamptz
);

SELECT tenant_policies('dials');
GRANT SELECT, INSERT, DELETE ON call_states, dials TO vnum_app;
GRANT UPDATE (agent, agent_hash, state, code, taken_by, taken_at, changed_at, recorded) ON dials TO vnum_app;
-- Nothing that is sealed, and no blind index of a person.
GRANT SELECT (cell, call_id, merchant_id, order_id, binding_id, host, extension, state, code, ordered_by, ordered_at,
              take_by, taken_at, changed_at, recorded) ON dials TO vnum_tenant;
