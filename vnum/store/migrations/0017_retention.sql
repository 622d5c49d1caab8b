-- Finds one person's bindings, to tell or to erase them; what is emptied is not in it.
CREATE INDEX bindings_by_recipient ON bindings (recipient_hash) WHERE recipient_hash IS NOT NULL;

-- What became of a month (UTC) whose term is over: when who rang and who was rung were taken out of its rows, and when
-- the rows themselves went.
CREATE TABLE ended_months (
    month date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    calls_emptied_at timestamptz,
    bindings_emptied_at timestamptz,
    dropped_at timestamptz
);
GRANT SELECT, INSERT, UPDATE (calls_emptied_at, bindings_emptied_at) ON ended_months TO vnum_app;

-- A record that was not taken loses its text when its term is over, or when whom it names is to be forgotten. Who is
-- still to decide it can only discard it then. content becomes the review's own id: nothing equals it.
ALTER TABLE call_reviews ALTER COLUMN record DROP NOT NULL;
CREATE FUNCTION forget_records(of_cell smallint, ids uuid[], forgotten_at timestamptz, forgotten_by text, why text)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    forgotten integer;
BEGIN
    UPDATE call_reviews r
    SET record = NULL, content = uuid_send(r.review_id),
        decided_at = CASE WHEN r.state = 'open' THEN forgotten_at ELSE r.decided_at END,
        decided_by = CASE WHEN r.state = 'open' THEN forgotten_by ELSE r.decided_by END,
        reason = CASE WHEN r.state = 'open' THEN why ELSE r.reason END,
        state = CASE WHEN r.state = 'open' THEN 'discarded' ELSE r.state END
    WHERE r.cell = of_cell AND r.review_id = ANY (ids) AND r.record IS NOT NULL;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;

-- Drops the rows of a month. The application may call it, and may drop nothing else; so it looks for itself: a year must
-- have passed, nobody may be named in the rows any more, and all they cost must lie in months that are closed.
CREATE FUNCTION drop_month(of_month date, dropped timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    suffix text := to_char(of_month, '"_"YYYY"_"MM');
    kept boolean;
BEGIN
    IF of_month > clock_timestamp() - interval '397 days' THEN
        RAISE EXCEPTION 'the rows of a month are kept for a year at the least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass(format('%I.%I', current_schema(), 'bindings' || suffix)) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I WHERE num_nonnulls(recipient, recipient_hash, recipient_name) > 0)
             OR EXISTS (SELECT FROM %2$I WHERE num_nonnulls(caller, caller_hash) > 0)
             OR EXISTS (SELECT FROM %1$I b WHERE b.ended_at > coalesce(
                            (SELECT max(p.ends_at) FROM periods p WHERE p.merchant_id = b.merchant_id), ''-infinity''))
             OR EXISTS (SELECT FROM %2$I c WHERE c.units > 0 AND c.biz_at >= coalesce(
                            (SELECT max(p.ends_at) FROM periods p WHERE p.merchant_id = c.merchant_id), ''-infinity''))',
        'bindings' || suffix, 'calls' || suffix) INTO kept;
    IF kept THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I, %I', 'bindings' || suffix, 'calls' || suffix);
    INSERT INTO ended_months (month, dropped_at) VALUES (of_month, dropped)
    ON CONFLICT (month) DO UPDATE SET dropped_at = excluded.dropped_at;
    RETURN true;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION forget_records SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION drop_month SET search_path = %I, pg_temp', current_schema());
END $$;
ALTER FUNCTION drop_month SET lock_timeout = '2s'; -- whoever binds does not wait longer for it
REVOKE ALL ON FUNCTION forget_records, drop_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_records, drop_month TO vnum_app;
