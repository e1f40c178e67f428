-- A cache of the command service: replaced and cleared at will. Those who check compare it; who
-- measures what events leave, which it may read anyway, begins from it.
REVOKE ALL ON aggregate_snapshots FROM ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON aggregate_snapshots TO ledger_writer;
GRANT SELECT ON aggregate_snapshots TO ledger_projector, ledger_auditor, ledger_operator;
