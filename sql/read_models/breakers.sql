CREATE TABLE breakers (
    breaker_id     uuid        NOT NULL,
    kind           text        NOT NULL,
    scope          text        NOT NULL,
    reference      text,
    threshold      numeric     NOT NULL,
    window_seconds bigint,
    actions        jsonb       NOT NULL,
    is_active      boolean     NOT NULL,
    trips          bigint      NOT NULL,
    set_by         text,
    reason         text,
    set_at         timestamptz NOT NULL,
    removed_at     timestamptz,
    updated_at     timestamptz NOT NULL,
    last_position  bigint      NOT NULL,
    CONSTRAINT breakers_pkey PRIMARY KEY (breaker_id)
);

CREATE TABLE circuit_breaker_events (
    breaker_id        uuid        NOT NULL,
    number            bigint      NOT NULL,
    kind              text        NOT NULL,
    scope             text        NOT NULL,
    reference         text        NOT NULL,
    account_id        uuid,
    user_id           uuid,
    threshold         numeric     NOT NULL,
    actual            numeric     NOT NULL,
    window_seconds    bigint,
    inputs            jsonb       NOT NULL,
    actions           jsonb       NOT NULL,
    pause_trading     boolean     NOT NULL,
    close_positions   boolean     NOT NULL,
    triggered_at      timestamptz NOT NULL,
    event_id          uuid        NOT NULL,
    cause_event_id    uuid,
    halted            boolean     NOT NULL,
    cancels_requested bigint      NOT NULL,
    exits_requested   bigint      NOT NULL,
    refused           bigint      NOT NULL,
    error             text,
    resolved          boolean     NOT NULL,
    resolved_at       timestamptz,
    resolved_by       text,
    resolution        text,
    updated_at        timestamptz NOT NULL,
    last_position     bigint      NOT NULL,
    CONSTRAINT circuit_breaker_events_pkey PRIMARY KEY (breaker_id, number)
);

COMMENT ON COLUMN circuit_breaker_events.inputs IS 'The numbers that it was measured of.';
COMMENT ON COLUMN circuit_breaker_events.refused IS
    'Commands of its actions that were refused; the last reason is in error.';
