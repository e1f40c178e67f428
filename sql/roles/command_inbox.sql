-- Outcomes are recorded once, like events.
REVOKE ALL ON command_inbox FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT ON command_inbox TO ledger_writer;
GRANT SELECT ON command_inbox TO ledger_auditor, ledger_operator;
