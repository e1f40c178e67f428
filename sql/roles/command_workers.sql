-- Who works on which partition of the commands: the workers keep it, others look.
REVOKE ALL ON command_workers, command_partitions FROM ledger_writer, ledger_projector,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON command_workers, command_partitions TO ledger_writer;
GRANT SELECT ON command_workers, command_partitions
    TO ledger_auditor, ledger_operator, ledger_monitor;
