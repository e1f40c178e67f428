CREATE INDEX alerts_account ON alerts (account_id, raised_at DESC, alert_id DESC, number DESC);
CREATE INDEX alerts_user ON alerts (user_id, raised_at DESC, alert_id DESC, number DESC);
CREATE INDEX alerts_time ON alerts (raised_at DESC, alert_id DESC, number DESC);
CREATE INDEX alert_deliveries_user
    ON alert_deliveries (user_id, created_at DESC, alert_id DESC, number DESC, channel DESC);
CREATE INDEX alert_deliveries_time
    ON alert_deliveries (created_at DESC, alert_id DESC, number DESC, channel DESC);
CREATE INDEX alert_suppressions_rule ON alert_suppressions (rule, entity_type, entity_id, alert_id);
