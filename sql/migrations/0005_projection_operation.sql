-- What operators and workers say to each other about projections.
--
-- A pause: who asked for it, why, since when; set as long as status is PAUSED.
ALTER TABLE event_projections
    ADD COLUMN paused_by    text,
    ADD COLUMN pause_reason text,
    ADD COLUMN paused_at    timestamptz;

-- How long an owner may be silent. A table beside event_projections, because a batch locks its
-- row there until it commits, and the lease is renewed meanwhile. All times are the database's.
CREATE TABLE projection_leases (
    projection_name text        NOT NULL,
    owner           text,
    leased_until    timestamptz,
    acquired_at     timestamptz,
    renewed_at      timestamptz,
    backend_pid     integer,
    backend_start   timestamptz,
    changes         bigint      NOT NULL DEFAULT 0,
    CONSTRAINT projection_leases_pkey PRIMARY KEY (projection_name),
    CONSTRAINT projection_leases_projection_name_fkey
        FOREIGN KEY (projection_name) REFERENCES event_projections ON DELETE CASCADE
);

COMMENT ON COLUMN projection_leases.backend_pid IS
    'The owner''s connection: ended when the lease is taken over, so that it leaves no locks.';

-- Events that a projection could not handle, and the later ones of the same key, which wait behind
-- them. They belong to the generation that lacks them: another build may have handled them. One
-- whose position is beyond the checkpoint is where its projection stopped.
CREATE TABLE projection_dead_letters (
    id              uuid        NOT NULL,
    projection_name text        NOT NULL,
    generation      integer     NOT NULL,
    partition_key   text        NOT NULL,
    position        bigint      NOT NULL,
    event_id        uuid        NOT NULL,
    event_type      text        NOT NULL,
    status          text        NOT NULL DEFAULT 'PARKED',
    kind            text        NOT NULL,
    error           text,
    traceback       text,
    code_version    integer     NOT NULL,
    attempts        integer     NOT NULL DEFAULT 1,
    parked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    skipped_by      text,
    skip_reason     text,
    CONSTRAINT projection_dead_letters_pkey PRIMARY KEY (id),
    CONSTRAINT projection_dead_letters_projection_name_fkey
        FOREIGN KEY (projection_name) REFERENCES event_projections ON DELETE CASCADE,
    CONSTRAINT projection_dead_letters_position_key
        UNIQUE (projection_name, generation, position),
    CONSTRAINT projection_dead_letters_status CHECK (status IN ('PARKED', 'APPLIED', 'SKIPPED')),
    CONSTRAINT projection_dead_letters_kind CHECK
        (kind IN ('decode', 'unknown type', 'fold', 'database', 'behind')),
    CONSTRAINT projection_dead_letters_skip_is_explained CHECK
        (status <> 'SKIPPED' OR (skipped_by IS NOT NULL AND skip_reason IS NOT NULL))
);

CREATE INDEX projection_dead_letters_parked
    ON projection_dead_letters (projection_name, generation, partition_key, position)
    WHERE status = 'PARKED';
