-- The builds of read models beside the live ones, which event_projections tells. What a build has
-- folded and how far it is change in one transaction, so a build that was interrupted, by whatever,
-- goes on from here or is cleared away (projections/engine/builds.py).
CREATE TABLE projection_generations (
    projection_name         text        NOT NULL,
    schema_name             text        NOT NULL,
    purpose                 text        NOT NULL,
    phase                   text        NOT NULL DEFAULT 'FOLDING',
    generation              integer,
    code_version            integer     NOT NULL,
    last_processed_position bigint      NOT NULL DEFAULT 0,
    last_processed_event_id uuid,
    total_events_processed  bigint      NOT NULL DEFAULT 0,
    target_position         bigint      NOT NULL DEFAULT 0,
    rate_per_second         numeric,
    started_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT projection_generations_pkey PRIMARY KEY (projection_name, schema_name),
    CONSTRAINT projection_generations_purpose CHECK
        (purpose IN ('NEXT', 'PREVIOUS', 'RETIRED', 'PAST')),
    CONSTRAINT projection_generations_phase CHECK
        (phase IN ('FOLDING', 'INDEXING', 'COMPARING', 'SWAPPING', 'COMPLETE')),
    CONSTRAINT projection_generations_past_has_no_number CHECK
        ((generation IS NULL) = (purpose = 'PAST'))
);

-- One rebuild under way and one way back for each projection.
CREATE UNIQUE INDEX projection_generations_one_each
    ON projection_generations (projection_name, purpose) WHERE purpose IN ('NEXT', 'PREVIOUS');

COMMENT ON COLUMN projection_generations.purpose IS
    'NEXT: to be swapped in. PREVIOUS: what rollback returns to. RETIRED: to be dropped. '
    'PAST: the read model as it was, to look at.';
COMMENT ON COLUMN projection_generations.rate_per_second IS
    'Positions of the log that this build goes through per second, since it was begun or resumed.';

-- How far the parts of a build are that several processes fill at once (projections/engine/bulk.py):
-- each moves with its rows. They are gone when all have reached the same position, which is then
-- the build's.
CREATE TABLE projection_build_parts (
    projection_name         text    NOT NULL,
    schema_name             text    NOT NULL,
    part_number             integer NOT NULL,
    last_processed_position bigint  NOT NULL DEFAULT 0,
    total_events_processed  bigint  NOT NULL DEFAULT 0,
    CONSTRAINT projection_build_parts_pkey
        PRIMARY KEY (projection_name, schema_name, part_number),
    CONSTRAINT projection_build_parts_build_fkey
        FOREIGN KEY (projection_name, schema_name) REFERENCES projection_generations
        ON DELETE CASCADE
);
