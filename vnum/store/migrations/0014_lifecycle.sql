-- The life of an order that follows its parcels. A parcel may carry several orders of one recipient (merged), an order
-- may come in several parcels (split). filed_at = when the order's parcel became known, filing = the how manieth that
-- was; carriers use their numbers again after months, so an order filed long before the newest is another parcel. state
-- and since: what the platform told of the parcel.
ALTER TABLE waybills
    DROP CONSTRAINT waybills_pkey,
    ADD PRIMARY KEY (cell, carrier, waybill_no, merchant_id, order_id),
    ADD COLUMN filing bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN filed_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT 'travelling'
        CHECK (state IN ('travelling', 'signed', 'returned')),
    ADD COLUMN since timestamptz;
UPDATE waybills w SET filed_at = o.bound_at
FROM orders o WHERE o.merchant_id = w.merchant_id AND o.order_id = w.order_id;

-- first_bound_at = when the order's first number was bound: what max_reach_days counts from.
ALTER TABLE orders ADD COLUMN first_bound_at timestamptz;
UPDATE orders SET first_bound_at = bound_at;
UPDATE orders o SET first_bound_at = b.first
FROM (SELECT cell, merchant_id, order_id, min(bound_at) AS first FROM bindings GROUP BY 1, 2, 3) AS b
WHERE b.cell = o.cell AND b.merchant_id = o.merchant_id AND b.order_id = o.order_id AND b.first < o.bound_at;

-- due_at = when the binding would expire if its order's events had not set an earlier end; null = they have not.
ALTER TABLE bindings ADD COLUMN due_at timestamptz;

-- Recipients of a slot's last binding from before its phone was changed: it never goes back to one of them either.
ALTER TABLE slots ADD COLUMN holder_others bigint[], ADD COLUMN former_others bigint[];

-- That the phone behind a live number was changed; neither the old one nor the new one is kept here.
CREATE TABLE recipient_changes (
    cell smallint NOT NULL,
    change_id uuid NOT NULL,
    binding_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (cell, change_id)
);
CREATE INDEX recipient_changes_by_order ON recipient_changes (cell, merchant_id, order_id, change_id);

-- What the platform told of an order, each once. seq counts an order's events as they came; at is when it happened.
-- carrier and waybill_no null = of the whole order. content = a hash of what was told.
CREATE TABLE order_events (
    cell smallint NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    seq integer NOT NULL,
    type text COLLATE "C" NOT NULL CHECK (type IN ('shipped', 'signed', 'returned', 'after_sales_opened',
                                                   'after_sales_closed', 'cancelled', 'closed')),
    carrier text COLLATE "C",
    waybill_no text COLLATE "C",
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    told_by text NOT NULL,
    PRIMARY KEY (cell, merchant_id, order_id, event_id),
    CHECK ((carrier IS NULL) = (waybill_no IS NULL))
);

-- Every label that was given out, and which number it bore (that of the binding).
CREATE TABLE prints (
    cell smallint NOT NULL,
    print_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    format text NOT NULL,
    printed_at timestamptz NOT NULL,
    printed_by text NOT NULL,
    PRIMARY KEY (cell, print_id)
);
CREATE INDEX prints_by_order ON prints (cell, merchant_id, order_id, print_id);

-- The last label of each order whose parcels may still travel.
CREATE TABLE labels_out (
    cell smallint NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    host text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    printed_at timestamptz NOT NULL,
    PRIMARY KEY (cell, merchant_id, order_id)
);
CREATE INDEX labels_out_by_merchant ON labels_out (merchant_id, order_id);

-- The platform's rules of a number's life, one row at most. Null = no such rule.
CREATE TABLE lifecycle_policy (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    end_after_signed_days smallint CHECK (end_after_signed_days BETWEEN 0 AND 180),
    end_after_closed_days smallint CHECK (end_after_closed_days BETWEEN 0 AND 180),
    max_reach_days smallint CHECK (max_reach_days BETWEEN 1 AND 3650),
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL
);

SELECT tenant_policies('recipient_changes');
SELECT tenant_policies('order_events');
SELECT tenant_policies('prints');
SELECT tenant_policies('labels_out');

GRANT SELECT, INSERT ON recipient_changes, order_events, prints TO vnum_app;
GRANT SELECT, INSERT, UPDATE ON labels_out, lifecycle_policy TO vnum_app;
GRANT DELETE ON labels_out, waybills TO vnum_app;

-- What tied keys read: the labels of their orders that are out there (a carrier, of the orders he carries a parcel of),
-- and the rules of a number's life.
CREATE POLICY carrier ON labels_out FOR SELECT TO vnum_tenant
    USING ((SELECT tied_carrier()) IS NOT NULL AND EXISTS (
        SELECT FROM waybills w WHERE w.carrier = (SELECT tied_carrier())
            AND w.merchant_id = labels_out.merchant_id AND w.order_id = labels_out.order_id));
GRANT SELECT ON labels_out, lifecycle_policy TO vnum_tenant;
GRANT SELECT (first_bound_at) ON orders TO vnum_tenant;
