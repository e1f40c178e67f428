CREATE INDEX transactions_account_time ON transactions (account_id, "timestamp" DESC);
CREATE INDEX transactions_user_time ON transactions (user_id, "timestamp" DESC);
CREATE INDEX transactions_order ON transactions (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX transactions_account_position ON transactions (account_id, position DESC, line DESC);
