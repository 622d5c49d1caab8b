-- Subscriptions that count. An ISV's does for as long as its merchant lets the key that made it act for him, and as that
-- key is in force: not revoked, and not past ends_at (null = it has no end of its own).
CREATE OR REPLACE VIEW webhooks_in_force WITH (security_invoker = true) AS
    SELECT w.webhook_id, w.merchant_id, w.role, w.url, w.events, w.secret, w.former_secret, w.former_until,
           k.expires_at AS ends_at
    FROM webhooks w
    LEFT JOIN api_keys k ON w.role = 'isv' AND k.key_id = w.made_by
    WHERE w.active AND w.deleted_at IS NULL
      AND (w.role <> 'isv' OR (k.key_id IS NOT NULL AND k.revoked_at IS NULL
                               AND EXISTS (SELECT FROM grants g WHERE g.isv = w.made_by AND g.merchant_id = w.merchant_id
                                             AND g.withdrawn_at IS NULL)));

-- Who wants to hear of an event of a merchant (null: of none, so only those who listen to all), at an instant.
DROP FUNCTION listeners(text, text);
CREATE FUNCTION listeners(of_event text, of_merchant text, at timestamptz) RETURNS TABLE (webhook_id uuid, role text)
LANGUAGE sql STABLE AS $$
    SELECT w.webhook_id, w.role FROM webhooks_in_force w
    WHERE of_event = ANY (w.events) AND (w.merchant_id IS NULL OR w.merchant_id = of_merchant)
      AND (w.ends_at IS NULL OR w.ends_at > at)
$$;

-- What the key was tied to when its request was answered (a hash; null = not tied): who is tied otherwise by now is not
-- told again what he may have lost sight of.
ALTER TABLE idempotency_keys ADD COLUMN tie bytea;

-- The texts of the last day to a recipient whose texts are capped; cell = H(recipient). As `contacts` of calls: one row,
-- so that its lock makes count and decision one; hour_ago, day_ago and caps are those of the last text.
CREATE TABLE texted (
    cell smallint NOT NULL,
    recipient_hash bytea NOT NULL,
    instants timestamptz[] NOT NULL,
    merchants text[] NOT NULL,
    hour_ago timestamptz NOT NULL,
    day_ago timestamptz NOT NULL,
    caps int[] NOT NULL,
    PRIMARY KEY (cell, recipient_hash)
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE, DELETE ON texted TO vnum_app;

-- Forgets up to `most` of a cell's prints, events of orders and changes of recipients from before an instant, half a year
-- back at the least; how many of each. The application may delete none of them itself. Events of an order stay as long
-- as it has had a number since then: its state is folded from them.
CREATE INDEX order_events_by_receipt ON order_events (cell, received_at);
CREATE FUNCTION forget_logs(of_cell smallint, before timestamptz, most integer) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    first uuid := first_id(before);
    printed integer;
    told integer;
    changed integer;
BEGIN
    IF before > clock_timestamp() - interval '183 days' THEN
        RAISE EXCEPTION 'what was printed and told is kept for half a year at the least'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM prints WHERE cell = of_cell AND print_id IN (
        SELECT p.print_id FROM prints p WHERE p.cell = of_cell AND p.print_id < first ORDER BY p.print_id LIMIT most);
    GET DIAGNOSTICS printed = ROW_COUNT;
    DELETE FROM order_events d USING (
        SELECT e.merchant_id, e.order_id, e.event_id FROM order_events e
        JOIN orders o ON o.cell = e.cell AND o.merchant_id = e.merchant_id AND o.order_id = e.order_id
        WHERE e.cell = of_cell AND e.received_at < before AND o.ended_at < before LIMIT most) AS due
    WHERE d.cell = of_cell AND d.merchant_id = due.merchant_id AND d.order_id = due.order_id AND d.event_id = due.event_id;
    GET DIAGNOSTICS told = ROW_COUNT;
    DELETE FROM recipient_changes WHERE cell = of_cell AND change_id IN (
        SELECT c.change_id FROM recipient_changes c WHERE c.cell = of_cell AND c.change_id < first
        ORDER BY c.change_id LIMIT most);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN ARRAY[printed, told, changed];
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION forget_logs SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION forget_logs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_logs TO vnum_app;
