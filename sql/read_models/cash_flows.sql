CREATE TABLE cash_flows (
    account_id     uuid        NOT NULL,
    user_id        uuid,
    flow_id        text        NOT NULL,
    kind           text        NOT NULL,
    asset          text        NOT NULL,
    amount         numeric     NOT NULL,
    sub_account    text        NOT NULL,
    instrument     text,
    position_side  text,
    counter_asset  text,
    counter_amount numeric,
    info           jsonb       NOT NULL,
    event_id       uuid        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    position       bigint      NOT NULL,
    CONSTRAINT cash_flows_pkey PRIMARY KEY (position)
);

COMMENT ON COLUMN cash_flows.amount IS 'Signed: what the account got is positive.';
COMMENT ON COLUMN cash_flows.counter_amount IS 'Of a conversion the other side, signed as well.';
COMMENT ON COLUMN cash_flows.info IS 'What the venue said beside it.';
