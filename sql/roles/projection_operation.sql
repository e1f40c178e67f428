-- Who may see and steer how projections are operated.
GRANT SELECT ON projection_leases, projection_dead_letters
    TO ledger_projector, ledger_auditor, ledger_operator;
-- Leases, parked events, and dropping those of a build that is made anew.
GRANT INSERT, UPDATE, DELETE ON projection_leases, projection_dead_letters TO ledger_projector;
-- Monitoring sees that something is parked, not what the error says of it.
GRANT SELECT ON projection_leases TO ledger_monitor;
GRANT SELECT (id, projection_name, generation, partition_key, position, status, kind, parked_at)
    ON projection_dead_letters TO ledger_monitor;
