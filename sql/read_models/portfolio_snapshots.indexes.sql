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
