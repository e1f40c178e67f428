CREATE TABLE alerts (
    alert_id        uuid        NOT NULL,
    number          bigint      NOT NULL,
    rule            text        NOT NULL,
    severity        text        NOT NULL,
    status          text        NOT NULL,
    title           text        NOT NULL,
    message         text,
    entity_type     text        NOT NULL,
    entity_id       text        NOT NULL,
    account_id      uuid,
    user_id         uuid,
    suppressed      boolean     NOT NULL,
    channels        jsonb       NOT NULL,
    runbook         text,
    cause_event_id  uuid,
    metadata        jsonb       NOT NULL,
    raised_at       timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    escalated_at    timestamptz,
    resolved_at     timestamptz,
    resolved_by     text,
    auto_resolved   boolean     NOT NULL,
    resolution      text,
    updated_at      timestamptz NOT NULL,
    position        bigint      NOT NULL,
    last_position   bigint      NOT NULL,
    CONSTRAINT alerts_pkey PRIMARY KEY (alert_id, number)
);

COMMENT ON COLUMN alerts.alert_id IS 'What a rule says of an entity: the same each time.';
COMMENT ON COLUMN alerts.number IS 'Which opening of it: the first time, the second …';
COMMENT ON COLUMN alerts.suppressed IS 'Kept and not sent.';

CREATE TABLE alert_deliveries (
    alert_id      uuid        NOT NULL,
    number        bigint      NOT NULL,
    channel       text        NOT NULL,
    user_id       uuid,
    status        text        NOT NULL,
    attempts      bigint      NOT NULL,
    error         text,
    repeated      boolean     NOT NULL,
    final         boolean     NOT NULL,
    created_at    timestamptz NOT NULL,
    sent_at       timestamptz,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT alert_deliveries_pkey PRIMARY KEY (alert_id, number, channel)
);

COMMENT ON COLUMN alert_deliveries.repeated IS
    'An answer of the channel was lost, so it may have been told more than once.';
COMMENT ON COLUMN alert_deliveries.final IS 'Told, or given up: it is not tried again.';

CREATE TABLE alert_suppressions (
    alert_id      uuid        NOT NULL,
    rule          text        NOT NULL,
    entity_type   text        NOT NULL,
    entity_id     text        NOT NULL,
    until         timestamptz,
    reason        text,
    suppressed_by text,
    suppressed_at timestamptz NOT NULL,
    removed_at    timestamptz,
    removed_by    text,
    user_id       uuid,
    last_position bigint      NOT NULL,
    CONSTRAINT alert_suppressions_pkey PRIMARY KEY (alert_id)
);

COMMENT ON COLUMN alert_suppressions.until IS 'Null: until somebody takes it back.';
