CREATE INDEX portfolio_snapshots_user_time
    ON portfolio_snapshots (user_id, "time" DESC, account_id DESC, last_position DESC);
CREATE INDEX portfolio_hourly_user_time ON portfolio_hourly (user_id, "time" DESC, account_id DESC);
CREATE INDEX portfolio_daily_user_time ON portfolio_daily (user_id, "time" DESC, account_id DESC);
CREATE INDEX asset_values_account_time ON asset_values (account_id, "time" DESC, asset DESC);
CREATE INDEX asset_values_user_time
    ON asset_values (user_id, "time" DESC, account_id DESC, asset DESC);
CREATE INDEX strategy_equity_account_time
    ON strategy_equity (account_id, "time" DESC, strategy_id DESC, last_position DESC);
CREATE INDEX strategy_equity_user_time
    ON strategy_equity (user_id, "time" DESC, account_id DESC, strategy_id DESC, last_position DESC);
CREATE INDEX performance_metrics_account ON performance_metrics
    (account_id, "time" DESC, period_type DESC, series DESC) WHERE account_id IS NOT NULL;
CREATE INDEX performance_metrics_user ON performance_metrics
    (user_id, "time" DESC, period_type DESC, series DESC) WHERE user_id IS NOT NULL;
CREATE INDEX performance_metrics_strategy ON performance_metrics
    (strategy_id, "time" DESC, period_type DESC, series DESC) WHERE strategy_id IS NOT NULL;
CREATE INDEX performance_metrics_environment ON performance_metrics
    (environment, "time" DESC, period_type DESC, series DESC);
CREATE INDEX performance_history_account ON performance_history
    (account_id, "time" DESC, period_type DESC, series DESC) WHERE account_id IS NOT NULL;
CREATE INDEX risk_metrics_account
    ON risk_metrics (account_id, "time" DESC, series DESC, last_position DESC)
    WHERE account_id IS NOT NULL;
CREATE INDEX risk_metrics_user
    ON risk_metrics (user_id, "time" DESC, series DESC, last_position DESC)
    WHERE user_id IS NOT NULL;
CREATE INDEX risk_metrics_environment
    ON risk_metrics (environment, "time" DESC, series DESC, last_position DESC);
