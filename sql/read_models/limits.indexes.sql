CREATE INDEX limits_reference ON limits (reference, limit_id);
CREATE INDEX limit_history_reference ON limit_history (reference, position DESC);
CREATE INDEX limit_history_limit ON limit_history (limit_id, position DESC) WHERE limit_id IS NOT NULL;
