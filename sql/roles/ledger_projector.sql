-- The projections: read the log and keep their own place in it.
GRANT USAGE ON SCHEMA public TO ledger_projector;
GRANT SELECT ON event_store, schema_migrations TO ledger_projector;
GRANT SELECT, INSERT, UPDATE ON event_projections TO ledger_projector;
