CREATE INDEX balances_user ON balances (user_id);
