CREATE INDEX portfolio_snapshots_user_time ON portfolio_snapshots (user_id, "time" DESC);
