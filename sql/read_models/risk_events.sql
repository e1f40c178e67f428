CREATE TABLE risk_events (
    risk_id        uuid        NOT NULL,
    number         bigint      NOT NULL,
    event_type     text        NOT NULL,
    severity       text        NOT NULL,
    source         text,
    scope          text        NOT NULL,
    reference      text,
    measure        text,
    current_value  numeric,
    limit_value    numeric,
    warning_value  numeric,
    unit           text,
    threshold      text,
    message        text        NOT NULL,
    limit_id       uuid,
    account_id     uuid,
    user_id        uuid,
    order_id       uuid,
    instrument     text,
    trade_id       text,
    cause_event_id uuid,
    action_taken   text,
    data           jsonb       NOT NULL,
    is_open        boolean     NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    resolved_at    timestamptz,
    resolved_by    text,
    auto_resolved  boolean     NOT NULL,
    resolution     text,
    position       bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    CONSTRAINT risk_events_pkey PRIMARY KEY (risk_id, number)
);

COMMENT ON COLUMN risk_events.current_value IS
    'As it was when it was opened, reached another threshold, or was resolved: not at every moment.';
COMMENT ON COLUMN risk_events.threshold IS 'Which one is reached: WARNING or LIMIT.';
