-- Services look whether the schema is the one they need.
REVOKE ALL ON schema_migrations FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor, ledger_http;
GRANT SELECT ON schema_migrations TO ledger_writer, ledger_projector, ledger_sealer, ledger_auditor,
    ledger_operator, ledger_monitor, ledger_http;
