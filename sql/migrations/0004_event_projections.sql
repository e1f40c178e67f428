-- How far each read model is. The row is the fence: rows of the read model, the checkpoint
-- and the counters change in one transaction, and only from the position, owner and epoch
-- that the worker knows (projections/engine).
CREATE TABLE event_projections (
    projection_name            text        NOT NULL,
    last_processed_event_id    uuid,
    last_processed_at          timestamptz,
    status                     text        NOT NULL DEFAULT 'STOPPED',
    error_message              text,
    error_count                integer     NOT NULL DEFAULT 0,
    total_events_processed     bigint      NOT NULL DEFAULT 0,
    processing_rate_per_second numeric,
    created_at                 timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at                 timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_processed_position    bigint      NOT NULL DEFAULT 0,
    owner                      text,
    epoch                      bigint      NOT NULL DEFAULT 0,
    code_version               integer     NOT NULL DEFAULT 1,
    generation                 integer     NOT NULL DEFAULT 1,
    CONSTRAINT event_projections_pkey PRIMARY KEY (projection_name),
    CONSTRAINT event_projections_status CHECK
        (status IN ('RUNNING', 'STOPPED', 'ERROR', 'REBUILDING', 'PAUSED')),
    CONSTRAINT event_projections_position_not_negative CHECK (last_processed_position >= 0),
    CONSTRAINT event_projections_error_count_not_negative CHECK (error_count >= 0),
    CONSTRAINT event_projections_events_not_negative CHECK (total_events_processed >= 0),
    CONSTRAINT event_projections_rate_not_negative CHECK (processing_rate_per_second >= 0)
);

COMMENT ON COLUMN event_projections.generation IS
    'The live build of the read model: its tables are in schema <projection>_<generation>.';
