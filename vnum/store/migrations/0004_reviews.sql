-- Call records that were not taken are decided by a person; who, when and why stays with them. detail = why the record
-- was not taken, in the words that the switch was told. replaced = what was charged until another record was accepted in
-- its place: nobody decides it again.
ALTER TABLE call_reviews
    ADD COLUMN detail text NOT NULL DEFAULT '',
    ADD COLUMN state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'retried', 'accepted', 'discarded', 'replaced')),
    ADD COLUMN decided_at timestamptz,
    ADD COLUMN decided_by text,
    ADD COLUMN reason text,
    ADD CHECK (state = 'open' OR (decided_at IS NOT NULL AND decided_by IS NOT NULL AND reason IS NOT NULL));

-- Serves the list, oldest first: ids are ordered in time.
CREATE INDEX call_reviews_by_state ON call_reviews (state, review_id);

-- Where the call of an id lies: with the cell that its binding's id carries, the whole key of `calls`.
ALTER TABLE call_keys ADD COLUMN biz_at timestamptz;
UPDATE call_keys k SET biz_at = c.biz_at FROM calls c WHERE c.call_id = k.call_id AND k.content IS NOT NULL;

-- A decision changes what was decided, never the record. An accepted record changes when a charged call was, who rang
-- and what it costs; never whose call it is (merchant, order, binding, number), and never which call.
GRANT UPDATE (status, code, detail, state, decided_at, decided_by, reason) ON call_reviews TO vnum_app;
GRANT UPDATE (biz_at, key_id, caller, caller_hash, call_time, ring_time, answer_time, release_time, release_dir,
              release_cause, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, late)
    ON calls TO vnum_app;
