-- Auditors: read everything, change nothing.
GRANT USAGE ON SCHEMA public TO ledger_auditor;
GRANT SELECT ON event_store, command_inbox, unreadable_messages, aggregate_snapshots,
    event_projections, schema_migrations TO ledger_auditor;
