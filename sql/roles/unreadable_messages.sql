-- The command service puts them here and never looks at them again.
REVOKE ALL ON unreadable_messages FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT INSERT ON unreadable_messages TO ledger_writer;
GRANT SELECT ON unreadable_messages TO ledger_auditor, ledger_operator;
