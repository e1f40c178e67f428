CREATE INDEX transfers_account
    ON transfers (account_id, begun_at DESC, transfer_id DESC, asset DESC, direction DESC);
CREATE INDEX transfers_user ON transfers
    (user_id, begun_at DESC, transfer_id DESC, asset DESC, account_id DESC, direction DESC);
