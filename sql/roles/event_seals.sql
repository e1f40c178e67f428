-- Seals: written by the sealer, which reads the log and keeps its place as projections do; read by
-- those who check. Nobody changes them.
GRANT SELECT, INSERT ON event_seals TO ledger_projector;
GRANT SELECT ON event_seals TO ledger_auditor, ledger_operator;
GRANT SELECT (number, first_position, last_position, sealed_at) ON event_seals TO ledger_monitor;
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event_seals FROM %I',
        (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'event_seals'::regclass));
END;
$$;
