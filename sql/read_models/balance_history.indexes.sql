CREATE INDEX balance_checkpoints_time ON balance_checkpoints (account_id, latest_occurred_at);
CREATE INDEX late_movements_time ON late_movements (account_id, occurred_at, position);
