-- Monitoring: how far everything is, nothing of what it says.
GRANT USAGE ON SCHEMA public TO ledger_monitor;
GRANT SELECT ON event_projections, schema_migrations, command_workers, command_partitions
    TO ledger_monitor;
GRANT SELECT (position, recorded_at) ON event_store TO ledger_monitor;
