CREATE TABLE limits (
    limit_id          uuid        NOT NULL,
    scope             text        NOT NULL,
    reference         text        NOT NULL,
    measure           text        NOT NULL,
    value             numeric     NOT NULL,
    unit              text        NOT NULL,
    warning_threshold numeric,
    time_window       text,
    effective_from    timestamptz,
    effective_until   timestamptz,
    description       text,
    status            text        NOT NULL,
    proposed_value    numeric,
    proposed_by       text,
    set_by            text        NOT NULL,
    approved_by       text,
    set_at            timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    last_position     bigint      NOT NULL,
    CONSTRAINT limits_pkey PRIMARY KEY (limit_id)
);

COMMENT ON COLUMN limits.reference IS 'Which user, account, strategy or instrument; SYSTEM of all.';
COMMENT ON COLUMN limits.effective_until IS 'From then on what was set before is in force again.';

CREATE TABLE limit_history (
    position          bigint      NOT NULL,
    limit_id          uuid,
    scope             text        NOT NULL,
    reference         text        NOT NULL,
    change            text        NOT NULL,
    measure           text,
    value             numeric,
    unit              text,
    warning_threshold numeric,
    time_window       text,
    effective_from    timestamptz,
    effective_until   timestamptz,
    description       text,
    sent_by           text        NOT NULL,
    approved_by       text,
    occurred_at       timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL,
    CONSTRAINT limit_history_pkey PRIMARY KEY (position)
);
