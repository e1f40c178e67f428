CREATE INDEX circuit_breaker_events_account ON circuit_breaker_events
    (account_id, triggered_at DESC, breaker_id DESC, number DESC);
CREATE INDEX circuit_breaker_events_user ON circuit_breaker_events
    (user_id, triggered_at DESC, breaker_id DESC, number DESC);
CREATE INDEX circuit_breaker_events_time ON circuit_breaker_events
    (triggered_at DESC, breaker_id DESC, number DESC);
