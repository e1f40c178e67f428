CREATE INDEX cash_flows_account ON cash_flows (account_id, position DESC);
CREATE INDEX cash_flows_user ON cash_flows (user_id, occurred_at DESC, position DESC);
