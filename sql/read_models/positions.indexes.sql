CREATE INDEX positions_account_opened ON positions (account_id, opened_at DESC, position_id DESC);
CREATE INDEX positions_user_opened ON positions (user_id, opened_at DESC, position_id DESC);
CREATE INDEX positions_open ON positions (account_id, instrument) WHERE status = 'OPEN';
CREATE INDEX round_trips_account_closed ON round_trips (account_id, closed_at DESC, position_id DESC);
CREATE INDEX round_trips_user_closed ON round_trips (user_id, closed_at DESC, position_id DESC);
