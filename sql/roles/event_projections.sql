-- Workers keep their place here, operators steer them by it.
REVOKE ALL ON event_projections FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE ON event_projections TO ledger_projector;
GRANT SELECT, UPDATE ON event_projections TO ledger_operator;
GRANT SELECT ON event_projections TO ledger_auditor, ledger_monitor;
