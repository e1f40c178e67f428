-- People who trade: nothing of the base tables; the read models grant what is theirs.
GRANT USAGE ON SCHEMA public TO ledger_user;
