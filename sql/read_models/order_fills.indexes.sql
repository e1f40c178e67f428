CREATE INDEX order_fills_account_time ON order_fills (account_id, fill_timestamp DESC);
CREATE INDEX order_fills_user_time ON order_fills (user_id, fill_timestamp DESC);
CREATE INDEX order_fills_instrument_time ON order_fills (instrument, fill_timestamp DESC);
CREATE INDEX order_fills_account_position ON order_fills (account_id, position DESC);
CREATE INDEX order_fills_strategy_time ON order_fills (strategy_id, fill_timestamp DESC, position DESC)
    WHERE strategy_id IS NOT NULL;
