-- Disputes: a merchant says that a call is charged wrongly, finance answers. They change no money: a disputed call is
-- billed like any other, and what was charged wrongly is credited by a note. Rows are never deleted; what was said when
-- one was opened never changes.
CREATE TABLE disputes (
    dispute_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text        NOT NULL,
    call_id     text        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    author      text        NOT NULL CHECK (author <> ''),
    opened_at   timestamptz NOT NULL,
    outcome     text        CHECK (outcome IN ('upheld', 'rejected')), -- null = open
    resolution  text        CHECK (resolution <> ''),                  -- the reason of the outcome
    resolved_by text        CHECK (resolved_by <> ''),
    resolved_at timestamptz,
    note_number text        CHECK (note_number <> ''),                 -- of the credit note
    CHECK (num_nonnulls(outcome, resolution, resolved_by, resolved_at) IN (0, 4)),
    CHECK (note_number IS NULL OR outcome IS NOT DISTINCT FROM 'upheld')
);

-- A call has one open dispute at most.
CREATE UNIQUE INDEX disputes_open ON disputes (merchant_id, call_id) WHERE outcome IS NULL;
-- Serves the lists: of a merchant, and of some calls.
CREATE INDEX disputes_by_merchant ON disputes (merchant_id, dispute_id);
CREATE INDEX disputes_by_call ON disputes (merchant_id, call_id, dispute_id);

REVOKE ALL ON disputes FROM PUBLIC, vnum_app;
GRANT SELECT, INSERT (merchant_id, call_id, reason, author, opened_at),
    UPDATE (outcome, resolution, resolved_by, resolved_at, note_number) ON disputes TO vnum_app;
