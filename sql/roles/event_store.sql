-- Appended to by the command service alone; read by whoever folds or audits it. Monitoring sees
-- how far it is, nothing of what it says. Nobody may change it: append_only.sql.
REVOKE ALL ON event_store FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_sealer, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT ON event_store TO ledger_writer;
GRANT SELECT ON event_store TO ledger_projector, ledger_sealer, ledger_auditor,
    ledger_operator;
GRANT SELECT (position, recorded_at) ON event_store TO ledger_monitor;
