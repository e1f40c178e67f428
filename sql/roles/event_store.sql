-- Appended to by the command service alone; read by whoever folds or audits it. Monitoring sees
-- how far it is, nothing of what it says. Nobody may change it: append_only.sql.
REVOKE ALL ON public.event_store FROM PUBLIC, ledger_writer, ledger_projector, ledger_auditor,
    ledger_sealer, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT ON public.event_store TO ledger_writer;
GRANT SELECT ON public.event_store TO ledger_projector, ledger_sealer, ledger_auditor,
    ledger_operator;
GRANT SELECT (position, recorded_at) ON public.event_store TO ledger_monitor;

-- A partition is read and written through the log; auditors may look at what is there.
DO $$
DECLARE
    partition pg_catalog.regclass;
BEGIN
    FOR partition IN SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
        WHERE i.inhparent = 'public.event_store'::pg_catalog.regclass
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM PUBLIC, ledger_writer, ledger_projector,'
            ' ledger_auditor, ledger_sealer, ledger_operator, ledger_user, ledger_monitor', partition);
        EXECUTE pg_catalog.format('GRANT SELECT ON %s TO ledger_auditor', partition);
    END LOOP;
END;
$$;
