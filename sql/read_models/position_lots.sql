CREATE TABLE position_lots (
    account_id        uuid        NOT NULL,
    user_id           uuid,
    asset             text        NOT NULL,
    lot               bigint      NOT NULL,
    side              text        NOT NULL,
    acquired_at       timestamptz NOT NULL,
    acquired_quantity numeric     NOT NULL,
    acquired_cost     numeric,
    quantity          numeric     NOT NULL,
    cost              numeric,
    cost_asset        text,
    unvalued_fees     jsonb       NOT NULL,
    method            text        NOT NULL,
    status            text        NOT NULL,
    instrument        text,
    event_id          uuid        NOT NULL,
    updated_at        timestamptz NOT NULL,
    last_position     bigint      NOT NULL,
    CONSTRAINT position_lots_pkey PRIMARY KEY (account_id, asset, lot),
    CONSTRAINT position_lots_gone_cost_nothing CHECK (quantity <> 0 OR coalesce(cost, 0) = 0)
) WITH (fillfactor = 70);

COMMENT ON COLUMN position_lots.asset IS 'Or the instrument, of a contract.';
COMMENT ON COLUMN position_lots.lot IS 'The position in the log of the event that opened it.';
COMMENT ON COLUMN position_lots.quantity IS 'What is left; below zero: sold short.';
COMMENT ON COLUMN position_lots.cost IS
    'Of what is left, fees included; null where nobody told it. Of one sold short, what it brought.';
COMMENT ON COLUMN position_lots.unvalued_fees IS 'Assets in which fees were paid that are not in it.';

CREATE TABLE realized_gains (
    account_id     uuid        NOT NULL,
    user_id        uuid,
    position       bigint      NOT NULL,
    line           integer     NOT NULL,
    asset          text        NOT NULL,
    side           text        NOT NULL,
    quantity       numeric     NOT NULL,
    acquired_at    timestamptz NOT NULL,
    disposed_at    timestamptz NOT NULL,
    proceeds       numeric,
    proceeds_asset text,
    cost           numeric,
    cost_asset     text,
    gain           numeric,
    unvalued_fees  jsonb       NOT NULL,
    method         text        NOT NULL,
    instrument     text,
    lot            bigint      NOT NULL,
    lot_event_id   uuid        NOT NULL,
    event_id       uuid        NOT NULL,
    order_id       uuid,
    trade_id       text,
    recorded_at    timestamptz NOT NULL,
    CONSTRAINT realized_gains_pkey PRIMARY KEY (account_id, position, line),
    CONSTRAINT realized_gains_add_up CHECK (gain = proceeds - cost)
);

COMMENT ON COLUMN realized_gains.position IS 'In the log, of the event that disposed.';
COMMENT ON COLUMN realized_gains.acquired_at IS
    'Of an average pool, when it was begun; of what was sold short, when it was sold.';
COMMENT ON COLUMN realized_gains.gain IS
    'Null where cost or proceeds are not known, or not in one asset.';

CREATE TABLE lot_pools (
    account_id uuid  NOT NULL,
    asset      text  NOT NULL,
    pool       jsonb NOT NULL,
    CONSTRAINT lot_pools_pkey PRIMARY KEY (account_id, asset)
) WITH (fillfactor = 50);

CREATE TABLE lot_accounts (
    account_id    uuid NOT NULL,
    method        text NOT NULL,
    base_currency text NOT NULL,
    CONSTRAINT lot_accounts_pkey PRIMARY KEY (account_id)
);
