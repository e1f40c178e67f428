-- The command service: appends events and outcomes, and reads them to decide the next.
GRANT USAGE ON SCHEMA public TO ledger_writer;
GRANT SELECT, INSERT ON event_store, command_inbox TO ledger_writer;
GRANT INSERT ON unreadable_messages TO ledger_writer;
-- Snapshots are a cache: replaced and cleared at will.
GRANT SELECT, INSERT, UPDATE, DELETE ON aggregate_snapshots TO ledger_writer;
-- Which worker decides what: leases come and go.
GRANT SELECT, INSERT, UPDATE, DELETE ON command_workers, command_partitions TO ledger_writer;
GRANT SELECT ON schema_migrations TO ledger_writer;
