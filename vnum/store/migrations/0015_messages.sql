-- Texts to recipients: out of registered templates only. What was sent is not kept, and no phone stands here: a message
-- says to which order's recipient, by whose key, of which template, and what became of it.

CREATE TABLE message_templates (
    template_id text COLLATE "C" PRIMARY KEY,
    text text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('delivery', 'after_sales')),
    allow_links boolean NOT NULL,
    allow_phones boolean NOT NULL,
    made_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
);

-- cell = H(message_id). content = a keyed hash of what was asked for: a repeat asks the same.
CREATE TABLE messages (
    cell smallint NOT NULL,
    message_id uuid NOT NULL,
    merchant_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    binding_id uuid NOT NULL,
    template_id text COLLATE "C" NOT NULL,
    purpose text NOT NULL,
    content bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('sending', 'sent', 'failed')),
    failure text,
    made_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (cell, message_id)
);

SELECT tenant_policies('messages');
GRANT SELECT, INSERT ON message_templates, messages TO vnum_app;
GRANT UPDATE (retired_at) ON message_templates TO vnum_app;
GRANT UPDATE (state, failure, settled_at) ON messages TO vnum_app;
GRANT SELECT ON message_templates TO vnum_tenant;
GRANT SELECT (cell, message_id, merchant_id, order_id, binding_id, template_id, purpose, state, failure, made_by,
              created_at, settled_at) ON messages TO vnum_tenant;
