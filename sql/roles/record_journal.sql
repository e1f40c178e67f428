-- Written by triggers with the owner's rights, by nobody else; read by the sealer and by those who
-- check.
REVOKE ALL ON public.record_journal FROM ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.record_journal TO ledger_sealer, ledger_auditor, ledger_operator;
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON public.record_journal FROM %I',
        (SELECT pg_get_userbyid(relowner) FROM pg_class
         WHERE oid = 'public.record_journal'::regclass));
END;
$$;
