-- Operators: see how the services are, and steer projections by their status.
GRANT USAGE ON SCHEMA public TO ledger_operator;
GRANT SELECT ON event_store, command_inbox, unreadable_messages, event_projections,
    schema_migrations TO ledger_operator;
GRANT UPDATE ON event_projections TO ledger_operator;
