-- Seals: written by the sealer, which reads the log and keeps its place as projections do; read by
-- those who check. Nobody changes them.
REVOKE ALL ON public.event_seals FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT ON public.event_seals TO ledger_sealer;
GRANT SELECT ON public.event_seals TO ledger_auditor, ledger_operator;
GRANT SELECT (number, first_position, last_position, sealed_at) ON public.event_seals
    TO ledger_monitor;
-- Whether a head that was kept outside is still there, asked when the log is recovered.
GRANT SELECT (number, hash) ON public.event_seals TO ledger_writer;
DO $$
BEGIN
    EXECUTE pg_catalog.format('REVOKE UPDATE, DELETE, TRUNCATE ON public.event_seals FROM %I',
        (SELECT pg_catalog.pg_get_userbyid(relowner) FROM pg_catalog.pg_class
         WHERE oid = 'public.event_seals'::pg_catalog.regclass));
END;
$$;
