-- Everybody looks names up here. Only operators make something here: the public views of the read
-- models, which a rebuild replaces.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ledger_writer, ledger_projector, ledger_auditor, ledger_operator,
    ledger_user, ledger_monitor;
GRANT CREATE ON SCHEMA public TO ledger_operator;
