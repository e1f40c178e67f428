CREATE INDEX user_strategy_assignments_user ON user_strategy_assignments (user_id);
CREATE INDEX user_strategy_assignments_strategy ON user_strategy_assignments (strategy_id)
    WHERE is_active;
