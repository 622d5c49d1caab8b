-- Templates, and messages made of them.

-- name: add_template
-- No row = there is one of that id. $1 id, $2 text, $3 purpose, $4 links, $5 phones, $6 made by, $7 now.
INSERT INTO message_templates (template_id, text, purpose, allow_links, allow_phones, made_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
RETURNING template_id;

-- name: template
-- $1 id.
SELECT template_id, text, purpose, allow_links, allow_phones, created_at
FROM message_templates WHERE template_id = $1 AND retired_at IS NULL;

-- name: templates
-- By id. $1 the id after which to begin, $2 how many.
SELECT template_id, text, purpose, allow_links, allow_phones, created_at
FROM message_templates WHERE template_id > $1 AND retired_at IS NULL ORDER BY template_id LIMIT $2::int;

-- name: retire_template
-- $1 id, $2 now.
UPDATE message_templates SET retired_at = $2 WHERE template_id = $1 AND retired_at IS NULL RETURNING template_id;

-- name: recipient
-- Whom the order of a binding reaches at present, and the merchant's own policy. $1 cell, $2 binding id, $3 merchant.
SELECT o.order_id, o.order_status, m.state AS merchant_state, c.binding_id, c.key_id, c.recipient, c.recipient_hash,
       p.policy
FROM bindings b
JOIN orders o ON o.cell = b.cell AND o.merchant_id = b.merchant_id AND o.order_id = b.order_id
JOIN bindings c ON c.cell = o.cell AND c.binding_id = o.binding_id
JOIN merchants m ON m.merchant_id = b.merchant_id
LEFT JOIN call_policies p ON p.merchant_id = b.merchant_id
WHERE b.cell = $1 AND b.binding_id = $2 AND b.merchant_id = $3;

-- name: begin
-- No row = there is a message of that id. $1 cell, $2 id, $3 merchant, $4 order, $5 binding, $6 template, $7 purpose,
-- $8 content, $9 made by, $10 now.
INSERT INTO messages (cell, message_id, merchant_id, order_id, binding_id, template_id, purpose, content, state, made_by,
                      created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'sending', $9, $10) ON CONFLICT DO NOTHING
RETURNING message_id;

-- name: count_text
-- Counts a text in its recipient's one row: texts of the same moment wait for one another there. No row = a cap is
-- reached. $1 cell, $2 recipient, $3 now, $4 merchant, $5 an hour ago, $6 a day ago, $7 caps: the merchant's of an hour
-- and a day, everybody's.
INSERT INTO texted AS c (cell, recipient_hash, instants, merchants, hour_ago, day_ago, caps)
VALUES ($1, $2, ARRAY[$3::timestamptz], ARRAY[$4::text], $5, $6, $7)
ON CONFLICT (cell, recipient_hash) DO UPDATE
SET (instants, merchants) = (
        SELECT array_agg(u.instant), array_agg(u.merchant_id)
        FROM unnest(c.instants || excluded.instants, c.merchants || excluded.merchants) AS u (instant, merchant_id)
        WHERE u.instant > excluded.day_ago
    ), hour_ago = excluded.hour_ago, day_ago = excluded.day_ago, caps = excluded.caps
WHERE contacts_since(c.instants, c.merchants, excluded.hour_ago, excluded.merchants[1]) < excluded.caps[1]
  AND contacts_since(c.instants, c.merchants, excluded.day_ago, excluded.merchants[1]) < excluded.caps[2]
  AND contacts_since(c.instants, c.merchants, excluded.hour_ago, NULL) < excluded.caps[3]
  AND contacts_since(c.instants, c.merchants, excluded.day_ago, NULL) < excluded.caps[4]
RETURNING c.cell;

-- name: forget_texted
-- Those that count for no cap any more. $1 before: day_ago of a row lies a day before its last text.
DELETE FROM texted WHERE day_ago < $1;

-- name: settle
-- $1 cell, $2 id, $3 state, $4 failure, $5 now.
UPDATE messages SET state = $3, failure = $4, settled_at = $5 WHERE cell = $1 AND message_id = $2;

-- name: message
-- $1 cell, $2 id.
SELECT message_id, merchant_id, order_id, template_id, purpose, state, failure, created_at, settled_at
FROM messages WHERE cell = $1 AND message_id = $2;

-- name: content
-- What a message was asked to be. $1 cell, $2 id, $3 merchant.
SELECT content FROM messages WHERE cell = $1 AND message_id = $2 AND merchant_id = $3;
