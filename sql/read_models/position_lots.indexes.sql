CREATE INDEX position_lots_account_acquired
    ON position_lots (account_id, acquired_at DESC, asset DESC, lot DESC);
CREATE INDEX position_lots_user_acquired
    ON position_lots (user_id, acquired_at DESC, account_id DESC, asset DESC, lot DESC);
CREATE INDEX realized_gains_account_disposed
    ON realized_gains (account_id, disposed_at DESC, position DESC, line DESC);
CREATE INDEX realized_gains_user_disposed
    ON realized_gains (user_id, disposed_at DESC, account_id DESC, position DESC, line DESC);
