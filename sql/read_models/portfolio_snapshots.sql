CREATE TABLE portfolio_snapshots (
    "time"            timestamptz NOT NULL,
    user_id           uuid,
    account_id        uuid        NOT NULL,
    exchange          text        NOT NULL,
    environment       text        NOT NULL,
    base_currency     text        NOT NULL,
    total_balance     numeric     NOT NULL,
    available_balance numeric     NOT NULL,
    unvalued_assets   jsonb       NOT NULL,
    updated_at        timestamptz NOT NULL,
    last_position     bigint      NOT NULL,
    CONSTRAINT portfolio_snapshots_pkey PRIMARY KEY (account_id, "time")
) WITH (fillfactor = 85);

COMMENT ON COLUMN portfolio_snapshots."time" IS
    'Start of the interval of event time; the values are those after its last event.';
COMMENT ON COLUMN portfolio_snapshots.unvalued_assets IS
    'Assets that no trade has given a price in the base currency; not in the balances.';

-- What the next snapshot of an account starts from.
CREATE TABLE snapshot_portfolios (
    account_id    uuid        NOT NULL,
    exchange      text        NOT NULL,
    environment   text        NOT NULL,
    base_currency text        NOT NULL,
    "time"        timestamptz NOT NULL,
    balances      jsonb       NOT NULL,
    CONSTRAINT snapshot_portfolios_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 50);

CREATE TABLE snapshot_prices (
    environment text        NOT NULL,
    exchange    text        NOT NULL,
    base_asset  text        NOT NULL,
    quote_asset text        NOT NULL,
    price       numeric     NOT NULL,
    traded_at   timestamptz NOT NULL,
    CONSTRAINT snapshot_prices_pkey
        PRIMARY KEY (environment, exchange, base_asset, quote_asset)
) WITH (fillfactor = 50);
