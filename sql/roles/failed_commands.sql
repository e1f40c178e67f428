-- The command service puts them here, and answers who asks what became of one. Operators settle them
-- by settle_failed_command.
REVOKE ALL ON failed_commands FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT INSERT, SELECT (command_id, fingerprint, status, code, message)
    ON failed_commands TO ledger_writer;
GRANT SELECT ON failed_commands TO ledger_auditor, ledger_operator;
