-- Everybody looks names up here, so only the owner of the log makes something here: operators have
-- the public views of the read models moved by functions (roles/generations.sql).
REVOKE CREATE ON SCHEMA public FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor, ledger_http;
GRANT USAGE ON SCHEMA public TO ledger_writer, ledger_projector, ledger_sealer, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor, ledger_http;
