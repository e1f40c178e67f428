CREATE INDEX risk_events_account
    ON risk_events (account_id, created_at DESC, risk_id DESC, number DESC);
CREATE INDEX risk_events_user ON risk_events (user_id, created_at DESC, risk_id DESC, number DESC);
CREATE INDEX risk_events_time ON risk_events (created_at DESC, risk_id DESC, number DESC);
