-- The log: the only truth. Rows are appended and never change.
--
-- position       1, 2, 3 … without a gap, given under the append lock (functions/begin_append.sql),
--                so position order is commit order and count(*) = max(position).
-- event_version  1, 2, 3 … without a gap within a stream.
-- occurred_at    when it happened (the venue's time for what a venue reports).
-- recorded_at    when it was stored; never decreases with position.
CREATE TABLE event_store (
    position       bigint      NOT NULL,
    id             uuid        NOT NULL,
    stream_id      uuid        NOT NULL,
    stream_type    text        NOT NULL,
    event_type     text        NOT NULL,
    event_version  integer     NOT NULL,
    event_data     jsonb       NOT NULL,
    metadata       jsonb       NOT NULL DEFAULT '{}',
    correlation_id uuid,
    causation_id   uuid,
    user_id        uuid,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_store_pkey PRIMARY KEY (position),
    CONSTRAINT event_store_id_key UNIQUE (id),
    CONSTRAINT event_store_stream_id_event_version_key UNIQUE (stream_id, event_version),
    CONSTRAINT event_store_position_positive CHECK (position > 0),
    CONSTRAINT event_store_event_version_positive CHECK (event_version > 0),
    CONSTRAINT event_store_stream_type_length CHECK (length(stream_type) BETWEEN 1 AND 100),
    CONSTRAINT event_store_event_type_length CHECK (length(event_type) BETWEEN 1 AND 255),
    CONSTRAINT event_store_event_data_is_object CHECK (jsonb_typeof(event_data) = 'object'),
    CONSTRAINT event_store_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object')
);

COMMENT ON TABLE event_store IS 'Append-only log of all events; everything else is rebuilt from it.';

-- The database itself refuses to change history. A superuser can disable a trigger; the
-- privileges (roles/) keep everyone else from it.
CREATE FUNCTION refuse_change_of_event_store() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_store is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Append a correcting event instead.';
END;
$$;

CREATE TRIGGER event_store_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event_store
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event_store();

REVOKE ALL ON event_store FROM PUBLIC;
