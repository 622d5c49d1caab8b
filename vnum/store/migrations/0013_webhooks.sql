-- Events out: who wants to hear of what, and what waits to be told. An event is written with its effect, in the same
-- transaction, once for each subscription that wants it then; nothing is written where nobody listens.

-- merchant_id null = of all merchants. role = whose key made it: what a merchant or an ISV is told of a number keeps to
-- what they may read. secret is sealed; after a rotation the former one signs too, until former_until.
CREATE TABLE webhooks (
    webhook_id uuid PRIMARY KEY,
    merchant_id text COLLATE "C",
    role text NOT NULL CHECK (role IN ('platform', 'merchant', 'isv')),
    made_by text COLLATE "C" NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    active boolean NOT NULL,
    secret bytea NOT NULL,
    former_secret bytea,
    former_until timestamptz,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX webhooks_by_merchant ON webhooks (merchant_id);

-- Which worker delivers to a subscription now: one at a time. A worker that died is replaced when its lease has run out.
CREATE TABLE webhook_lanes (
    webhook_id uuid PRIMARY KEY,
    lease uuid NOT NULL,
    leased_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- One row an event and subscription. event_id is the same for all subscriptions, and time-ordered. subject = what keeps
-- its order: a binding, say. data is the event as it is told; it holds no phone.
CREATE TABLE webhook_deliveries (
    cell smallint NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    merchant_id text COLLATE "C",
    event text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    data json NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    tried_at timestamptz,
    failure text,
    PRIMARY KEY (cell, webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (webhook_id, subject, event_id) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (webhook_id, state, event_id);

-- Up to which instant the ends of bindings were told, per cell and event.
CREATE TABLE webhook_sweeps (
    cell smallint NOT NULL,
    event text COLLATE "C" NOT NULL,
    swept_until timestamptz NOT NULL,
    PRIMARY KEY (cell, event)
);

-- Hosts and cities that were told to be low, until they are not any more.
CREATE TABLE pool_lows (
    subject text COLLATE "C" PRIMARY KEY,
    since timestamptz NOT NULL
);

-- Finds what ends in a span. A block range index: a bind pays next to nothing for it, since ends rise with the order of
-- insertion; the multi form bears the ends that extensions moved away.
CREATE INDEX bindings_by_end ON bindings USING brin (ended_at timestamptz_minmax_multi_ops)
    WITH (pages_per_range = 32, autosummarize = on);

-- Subscriptions that count. An ISV's does for as long as its merchant lets the key that made it act for him.
CREATE VIEW webhooks_in_force WITH (security_invoker = true) AS
    SELECT w.webhook_id, w.merchant_id, w.role, w.url, w.events, w.secret, w.former_secret, w.former_until
    FROM webhooks w
    WHERE w.active AND w.deleted_at IS NULL
      AND (w.role <> 'isv' OR EXISTS (SELECT FROM grants g WHERE g.isv = w.made_by AND g.merchant_id = w.merchant_id
                                        AND g.withdrawn_at IS NULL));

-- Who wants to hear of an event of a merchant (null: of none, so only those who listen to all).
CREATE FUNCTION listeners(of_event text, of_merchant text) RETURNS TABLE (webhook_id uuid, role text)
LANGUAGE sql STABLE AS $$
    SELECT w.webhook_id, w.role FROM webhooks_in_force w
    WHERE of_event = ANY (w.events) AND (w.merchant_id IS NULL OR w.merchant_id = of_merchant)
$$;

-- An event's id: a UUIDv7 with its cell, made of what it is about, so that all subscriptions get the same, and in the
-- order of the events down to the microsecond. nth = its place among those of one statement.
CREATE FUNCTION event_id(cell smallint, at timestamptz, nth bigint, what text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (left(first_id(at)::text, 13) || '-7' || lpad(to_hex(cell::int), 3, '0')
            || '-8' || lpad(to_hex((extract(epoch FROM at) * 1000000)::bigint % 1000), 3, '0')
            || '-' || lpad(to_hex(nth % 4096), 3, '0') || left(md5(what), 9))::uuid
$$;

-- A time as the API writes it.
CREATE FUNCTION utc_text(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT AS $$
    SELECT rtrim(rtrim(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z'
$$;

-- What an event of a binding tells.
CREATE FUNCTION binding_event(
    binding_id uuid, merchant_id text, order_id text, host text, extension text, shown boolean,
    bound_at timestamptz, expires_at timestamptz, ended_at timestamptz, code text
) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'binding_id', binding_id, 'merchant_id', merchant_id, 'order_id', order_id,
        'host', CASE WHEN shown THEN host END, 'extension', CASE WHEN shown THEN extension END,
        'number', CASE WHEN shown THEN host || '-' || extension END,
        'bound_at', utc_text(bound_at), 'expires_at', utc_text(expires_at), 'ended_at', utc_text(ended_at), 'code', code)
$$;

-- Whether who made a subscription may read the number of an order in that status (vnum/model/orders.py, READABLE).
CREATE FUNCTION may_read_number(role text, order_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT role = 'platform' OR coalesce(order_status IN ('shipped', 'signed', 'after_sales'), false)
$$;

SELECT tenant_policies('webhooks');
SELECT tenant_policies('webhook_deliveries');
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_lanes, webhook_deliveries, pool_lows TO vnum_app;
GRANT SELECT, INSERT, UPDATE ON webhook_sweeps TO vnum_app;
GRANT SELECT ON webhooks_in_force TO vnum_app;
GRANT SELECT (webhook_id, merchant_id, role, made_by, url, events, active, former_until, created_at, deleted_at)
    ON webhooks TO vnum_tenant;
GRANT SELECT ON webhook_deliveries TO vnum_tenant;
