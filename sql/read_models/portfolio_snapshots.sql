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
    unseen        jsonb       NOT NULL,
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
    kind                    text,
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

CREATE TABLE performance_metrics (
    "time"                   timestamptz NOT NULL,
    series                   text        NOT NULL,
    scope                    text        NOT NULL,
    account_id               uuid,
    strategy_id              text,
    user_id                  uuid,
    environment              text        NOT NULL,
    period_type              text        NOT NULL,
    period_end               timestamptz NOT NULL,
    currency                 text        NOT NULL,
    usd_rate                 numeric,
    total_trades             integer     NOT NULL,
    winning_trades           integer     NOT NULL,
    losing_trades            integer     NOT NULL,
    total_volume             numeric     NOT NULL,
    total_pnl                numeric     NOT NULL,
    realized_pnl             numeric     NOT NULL,
    unrealized_pnl           numeric     NOT NULL,
    commission               numeric     NOT NULL,
    funding                  numeric     NOT NULL,
    other_pnl                numeric     NOT NULL,
    gross_profit             numeric     NOT NULL,
    gross_loss               numeric     NOT NULL,
    net_profit               numeric     NOT NULL,
    external_flows           numeric     NOT NULL,
    time_weighted_return     numeric,
    annual_return            numeric,
    money_weighted_return    numeric,
    win_rate                 numeric,
    profit_factor            numeric,
    sharpe_ratio             numeric,
    sortino_ratio            numeric,
    calmar_ratio             numeric,
    max_consecutive_wins     integer     NOT NULL,
    max_consecutive_losses   integer     NOT NULL,
    max_drawdown             numeric     NOT NULL,
    max_drawdown_percent     numeric,
    current_drawdown         numeric     NOT NULL,
    current_drawdown_percent numeric,
    drawdown_began_at        timestamptz,
    drawdown_trough_at       timestamptz,
    drawdown_recovered_at    timestamptz,
    underwater_days          numeric     NOT NULL,
    recovery_factor          numeric,
    var_95                   numeric,
    volatility               numeric,
    benchmark                text,
    beta                     numeric,
    alpha                    numeric,
    allocated_balance        numeric     NOT NULL,
    closing_balance          numeric     NOT NULL,
    peak_balance             numeric     NOT NULL,
    valley_balance           numeric     NOT NULL,
    data_points_count        integer     NOT NULL,
    return_count             integer     NOT NULL,
    annualised_by            integer     NOT NULL,
    risk_free_rate           numeric     NOT NULL,
    calculation_method       text        NOT NULL,
    null_reasons             jsonb       NOT NULL,
    is_closed                boolean     NOT NULL,
    through                  timestamptz NOT NULL,
    updated_at               timestamptz NOT NULL,
    last_position            bigint      NOT NULL,
    CONSTRAINT performance_metrics_pkey PRIMARY KEY (series, period_type, "time")
) WITH (fillfactor = 85);

COMMENT ON TABLE performance_metrics IS
    'A period of an account, a strategy, a user or an environment. Definitions: docs/portfolio.md.';
COMMENT ON COLUMN performance_metrics."time" IS 'When the period began.';
COMMENT ON COLUMN performance_metrics.series IS
    'Whose it is: an account, account/strategy, user:id/environment, environment:name.';
COMMENT ON COLUMN performance_metrics.max_drawdown_percent IS
    'A fraction of the highest so far: 0.25 is 25 %.';
COMMENT ON COLUMN performance_metrics.null_reasons IS 'column -> why it is null.';
COMMENT ON COLUMN performance_metrics.through IS 'The last snapshot that it has seen.';

-- Rows of periods under way, as they were told: what was known at a moment.
CREATE TABLE performance_history (
    LIKE performance_metrics,
    CONSTRAINT performance_history_pkey PRIMARY KEY (series, period_type, "time", last_position)
) PARTITION BY RANGE ("time");

COMMENT ON TABLE performance_history IS
    'Rows of performance_metrics of periods that were under way, as they were told.';

CREATE TABLE risk_metrics (
    "time"                   timestamptz NOT NULL,
    series                   text        NOT NULL,
    scope                    text        NOT NULL,
    account_id               uuid,
    user_id                  uuid,
    environment              text        NOT NULL,
    currency                 text        NOT NULL,
    usd_rate                 numeric,
    equity                   numeric     NOT NULL,
    total_exposure           numeric     NOT NULL,
    net_exposure             numeric     NOT NULL,
    leverage_ratio           numeric,
    var_95                   numeric,
    var_99                   numeric,
    cvar_95                  numeric,
    var_95_parametric        numeric,
    var_99_parametric        numeric,
    cvar_95_parametric       numeric,
    var_95_cornish_fisher    numeric,
    var_99_cornish_fisher    numeric,
    cvar_95_cornish_fisher   numeric,
    volatility               numeric,
    sharpe_ratio             numeric,
    max_drawdown             numeric     NOT NULL,
    max_drawdown_percent     numeric,
    benchmark                text,
    correlation_benchmark    numeric,
    correlation_risk         numeric,
    correlations             jsonb       NOT NULL,
    concentration_risk       numeric,
    diversification_score    numeric,
    margin_ratio             numeric,
    position_count           integer     NOT NULL,
    largest_position_percent numeric,
    risk_score               numeric,
    risk_score_parts         jsonb       NOT NULL,
    return_count             integer     NOT NULL,
    annualised_by            integer     NOT NULL,
    calculation_method       text        NOT NULL,
    null_reasons             jsonb       NOT NULL,
    updated_at               timestamptz NOT NULL,
    last_position            bigint      NOT NULL,
    CONSTRAINT risk_metrics_pkey PRIMARY KEY (series, "time", last_position)
) PARTITION BY RANGE ("time");

COMMENT ON TABLE risk_metrics IS
    'What an account, a user or an environment risks, by the hour. Definitions: docs/portfolio.md.';
COMMENT ON COLUMN risk_metrics.var_95 IS 'Of one day, historical: a loss in currency, not negative.';
COMMENT ON COLUMN risk_metrics.risk_score_parts IS 'part -> how much of its limit it uses, percent.';

-- What performance goes on from: curves and periods under way, the returns of days, what accounts
-- said of how they are measured, what holdings were worth at the ends of days.

CREATE TABLE performance_series (
    series          text        NOT NULL,
    scope           text        NOT NULL,
    account_id      uuid,
    strategy_id     text,
    user_id         uuid,
    environment     text        NOT NULL,
    currency        text        NOT NULL,
    usd_rate        numeric,
    state           jsonb       NOT NULL,
    terms           jsonb       NOT NULL,
    benchmark_close numeric,
    var_95_share    numeric,
    correlations    jsonb       NOT NULL,
    members         jsonb       NOT NULL,
    totals          jsonb       NOT NULL,
    flows           numeric     NOT NULL,
    is_shown        boolean     NOT NULL,
    CONSTRAINT performance_series_pkey PRIMARY KEY (series)
) WITH (fillfactor = 50);

CREATE TABLE performance_returns (
    series  text        NOT NULL,
    returns jsonb       NOT NULL,
    CONSTRAINT performance_returns_pkey PRIMARY KEY (series)
) WITH (fillfactor = 50);

CREATE TABLE measuring_terms (
    account_id uuid        NOT NULL,
    terms      jsonb       NOT NULL,
    CONSTRAINT measuring_terms_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 50);

CREATE TABLE holding_closes (
    name     text        NOT NULL,
    currency text        NOT NULL,
    closes   jsonb       NOT NULL,
    CONSTRAINT holding_closes_pkey PRIMARY KEY (name, currency)
) WITH (fillfactor = 50);
