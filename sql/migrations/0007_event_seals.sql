-- Seals over consecutive blocks of events, each hashing the one before (ledger/audit/seals.py). The
-- sealer's progress is the row 'seals' of event_projections.
--
-- hash         SHA-256 of the canonical form of the columns above it, previous_hash included.
-- leaf_hashes  The hashes of the block's events, 32 bytes each, in order. They follow from the events
--              and are held by root; kept so that verification can name the event that was altered.
CREATE TABLE event_seals (
    number         bigint      NOT NULL,
    format         text        NOT NULL,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    root           bytea       NOT NULL,
    previous_hash  bytea       NOT NULL,
    public_key     bytea,
    sealed_at      timestamptz NOT NULL,
    hash           bytea       NOT NULL,
    signature      bytea,
    leaf_hashes    bytea       NOT NULL,
    CONSTRAINT event_seals_pkey PRIMARY KEY (number),
    CONSTRAINT event_seals_last_position_key UNIQUE (last_position),
    CONSTRAINT event_seals_number_positive CHECK (number > 0),
    CONSTRAINT event_seals_positions CHECK (first_position BETWEEN 1 AND last_position),
    CONSTRAINT event_seals_hash_lengths CHECK
        (length(root) = 32 AND length(previous_hash) = 32 AND length(hash) = 32),
    CONSTRAINT event_seals_leaf_for_each_event CHECK
        (length(leaf_hashes) = 32 * (last_position - first_position + 1)),
    CONSTRAINT event_seals_signed_with_a_key CHECK
        ((public_key IS NULL) = (signature IS NULL)
            AND length(public_key) = 32 AND length(signature) = 64)
);

-- Hashes do not compress.
ALTER TABLE event_seals ALTER COLUMN leaf_hashes SET STORAGE EXTERNAL;

CREATE FUNCTION refuse_change_of_event_seals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_seals is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'A seal that is wrong is evidence: run ledgerctl audit verify.';
END;
$$;

CREATE TRIGGER event_seals_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event_seals();

REVOKE ALL ON event_seals FROM PUBLIC;
