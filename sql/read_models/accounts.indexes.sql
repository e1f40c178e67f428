CREATE INDEX accounts_user ON accounts (user_id);
