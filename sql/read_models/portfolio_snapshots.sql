-- What is told of a snapshot never changes; of spans and assets the newest rows do. Partitions are made
-- by whoever writes the rows: functions/add_series_partitions.sql.
CREATE TABLE portfolio_snapshots (
    "time"                   timestamptz NOT NULL,
    user_id                  uuid        NOT NULL,
    account_id               uuid        NOT NULL,
    exchange                 text        NOT NULL,
    environment              text        NOT NULL,
    base_currency            text        NOT NULL,
    total_balance            numeric     NOT NULL,
    available_balance        numeric     NOT NULL,
    unvalued_assets          jsonb       NOT NULL,
    updated_at               timestamptz NOT NULL,
    last_position            bigint      NOT NULL,
    snapshot_type            text        NOT NULL,
    equity                   numeric     NOT NULL,
    margin_balance           numeric     NOT NULL,
    unrealized_pnl           numeric     NOT NULL,
    realized_pnl             numeric     NOT NULL,
    commission               numeric     NOT NULL,
    funding                  numeric     NOT NULL,
    external_flows           numeric     NOT NULL,
    initial_margin           numeric     NOT NULL,
    maintenance_margin       numeric     NOT NULL,
    position_count           bigint      NOT NULL,
    total_position_value     numeric     NOT NULL,
    gross_exposure           numeric     NOT NULL,
    net_exposure             numeric     NOT NULL,
    leverage_ratio           numeric,
    margin_ratio             numeric,
    var_95                   numeric,
    max_drawdown             numeric,
    correlation_risk         numeric,
    risk_score               numeric,
    usd_rate                 numeric,
    usd_rate_time            timestamptz,
    usd_rate_age_seconds     numeric,
    total_balance_usd        numeric,
    available_balance_usd    numeric,
    margin_balance_usd       numeric,
    unrealized_pnl_usd       numeric,
    realized_pnl_usd         numeric,
    initial_margin_usd       numeric,
    maintenance_margin_usd   numeric,
    total_position_value_usd numeric,
    var_95_usd               numeric,
    max_drawdown_usd         numeric,
    priced                   bigint      NOT NULL,
    priceable                bigint      NOT NULL,
    oldest_price_age_seconds numeric,
    data_quality_score       numeric     NOT NULL,
    is_late                  boolean     NOT NULL,
    through_position         bigint      NOT NULL,
    unvalued_reasons         jsonb       NOT NULL,
    CONSTRAINT portfolio_snapshots_pkey PRIMARY KEY (account_id, "time", last_position)
) PARTITION BY RANGE ("time");

CREATE TABLE portfolio_hourly (
    "time"             timestamptz NOT NULL,
    user_id            uuid        NOT NULL,
    account_id         uuid        NOT NULL,
    exchange           text        NOT NULL,
    environment        text        NOT NULL,
    base_currency      text        NOT NULL,
    avg_balance        numeric     NOT NULL,
    max_balance        numeric     NOT NULL,
    min_balance        numeric     NOT NULL,
    avg_unrealized_pnl numeric     NOT NULL,
    avg_leverage       numeric,
    avg_risk_score     numeric,
    max_risk_score     numeric,
    snapshot_count     bigint      NOT NULL,
    opening_equity     numeric     NOT NULL,
    equity             numeric     NOT NULL,
    max_equity         numeric     NOT NULL,
    min_equity         numeric     NOT NULL,
    external_flows     numeric     NOT NULL,
    profit             numeric     NOT NULL,
    realized_pnl       numeric     NOT NULL,
    commission         numeric     NOT NULL,
    funding            numeric     NOT NULL,
    unrealized_pnl     numeric     NOT NULL,
    usd_rate           numeric,
    last_time          timestamptz NOT NULL,
    last_position      bigint      NOT NULL,
    CONSTRAINT portfolio_hourly_pkey PRIMARY KEY (account_id, "time")
) PARTITION BY RANGE ("time");

CREATE TABLE portfolio_daily (
    "time"             timestamptz NOT NULL,
    user_id            uuid        NOT NULL,
    account_id         uuid        NOT NULL,
    exchange           text        NOT NULL,
    environment        text        NOT NULL,
    base_currency      text        NOT NULL,
    avg_balance        numeric     NOT NULL,
    max_balance        numeric     NOT NULL,
    min_balance        numeric     NOT NULL,
    avg_unrealized_pnl numeric     NOT NULL,
    avg_leverage       numeric,
    avg_risk_score     numeric,
    max_risk_score     numeric,
    snapshot_count     bigint      NOT NULL,
    opening_equity     numeric     NOT NULL,
    equity             numeric     NOT NULL,
    max_equity         numeric     NOT NULL,
    min_equity         numeric     NOT NULL,
    external_flows     numeric     NOT NULL,
    profit             numeric     NOT NULL,
    realized_pnl       numeric     NOT NULL,
    commission         numeric     NOT NULL,
    funding            numeric     NOT NULL,
    unrealized_pnl     numeric     NOT NULL,
    usd_rate           numeric,
    last_time          timestamptz NOT NULL,
    last_position      bigint      NOT NULL,
    CONSTRAINT portfolio_daily_pkey PRIMARY KEY (account_id, "time")
) WITH (fillfactor = 70);

CREATE TABLE asset_values (
    "time"        timestamptz NOT NULL,
    user_id       uuid        NOT NULL,
    account_id    uuid        NOT NULL,
    exchange      text        NOT NULL,
    environment   text        NOT NULL,
    asset         text        NOT NULL,
    base_currency text        NOT NULL,
    free          numeric     NOT NULL,
    locked        numeric     NOT NULL,
    total         numeric     NOT NULL,
    price         numeric,
    price_time    timestamptz,
    is_stale      boolean     NOT NULL,
    value         numeric,
    usd_value     numeric,
    path          jsonb       NOT NULL,
    last_time     timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT asset_values_pkey PRIMARY KEY (account_id, asset, "time")
) PARTITION BY RANGE ("time");

CREATE TABLE strategy_equity (
    "time"            timestamptz NOT NULL,
    user_id           uuid        NOT NULL,
    account_id        uuid        NOT NULL,
    strategy_id       text        NOT NULL,
    environment       text        NOT NULL,
    base_currency     text        NOT NULL,
    equity            numeric     NOT NULL,
    total_balance     numeric     NOT NULL,
    available_balance numeric     NOT NULL,
    unrealized_pnl    numeric     NOT NULL,
    flows             numeric     NOT NULL,
    last_position     bigint      NOT NULL,
    CONSTRAINT strategy_equity_pkey PRIMARY KEY (account_id, strategy_id, "time", last_position)
) PARTITION BY RANGE ("time");

CREATE TABLE portfolio_spans (
    account_id uuid        NOT NULL,
    hour       jsonb,
    day        jsonb,
    seen       jsonb       NOT NULL,
    seen_at    timestamptz NOT NULL,
    CONSTRAINT portfolio_spans_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 70);

CREATE TABLE portfolio_accounts (
    account_id    uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    exchange      text        NOT NULL,
    environment   text        NOT NULL,
    base_currency text        NOT NULL,
    books         jsonb       NOT NULL,
    open          jsonb       NOT NULL,
    trades        jsonb       NOT NULL,
    totals        jsonb       NOT NULL,
    newest        timestamptz NOT NULL,
    shows         boolean     NOT NULL,
    CONSTRAINT portfolio_accounts_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 70);

CREATE TABLE portfolio_positions (
    account_id uuid  NOT NULL,
    slot       text  NOT NULL,
    position   jsonb NOT NULL,
    CONSTRAINT portfolio_positions_pkey PRIMARY KEY (account_id, slot)
) WITH (fillfactor = 70);

CREATE TABLE snapshot_markets (
    instrument              text    NOT NULL,
    base_asset              text,
    quote_asset             text,
    told                    jsonb   NOT NULL,
    maintenance_margin_rate numeric,
    CONSTRAINT snapshot_markets_pkey PRIMARY KEY (instrument)
) WITH (fillfactor = 70);

CREATE TABLE snapshot_asset_markets (
    asset       text  NOT NULL,
    instruments jsonb NOT NULL,
    CONSTRAINT snapshot_asset_markets_pkey PRIMARY KEY (asset)
) WITH (fillfactor = 70);

COMMENT ON COLUMN portfolio_snapshots.total_balance IS
    'What the books hold, valued in the base currency; equity has what contracts would bring besides.';
COMMENT ON COLUMN portfolio_snapshots.margin_balance IS
    'What stands for positions: the equity.';
COMMENT ON COLUMN portfolio_snapshots.unvalued_assets IS
    'Holdings without a value; in no sum.';
COMMENT ON COLUMN portfolio_snapshots.unvalued_reasons IS 'Holding -> why it has no value.';
COMMENT ON COLUMN portfolio_snapshots.external_flows IS
    'All that came from outside so far less what left, each at its value then. equity less this is'
    ' what was won.';
COMMENT ON COLUMN portfolio_snapshots.realized_pnl IS
    'So far, gross, as commission and funding are: each at its value when it happened.';
COMMENT ON COLUMN portfolio_snapshots.priced IS 'Of priceable holdings, how many have a price.';
COMMENT ON COLUMN portfolio_snapshots.data_quality_score IS
    'Share of the value at fresh prices, times the share of holdings that have a price.';
COMMENT ON COLUMN portfolio_snapshots.is_late IS
    'What happened after its time is in it: it was recorded before the snapshot was taken.';
COMMENT ON COLUMN portfolio_snapshots.through_position IS
    'The place in the log up to which events are in it.';
COMMENT ON COLUMN portfolio_hourly.profit IS 'Change of equity less external_flows of the span.';
COMMENT ON COLUMN asset_values."time" IS 'The hour; the values are those of last_time.';
COMMENT ON COLUMN asset_values.path IS 'Markets on the way to the base currency.';
COMMENT ON COLUMN strategy_equity.strategy_id IS
    'The sub-account, which has the name of its strategy; main is nobody''s.';
COMMENT ON COLUMN strategy_equity.flows IS
    'What was moved to the sub-account so far, less what was moved from it.';
