-- Written by the owner of the log, who alone can take a partition away; read by all who read the log.
REVOKE ALL ON public.event_archives, public.archived_events FROM PUBLIC, ledger_writer,
    ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.event_archives, public.archived_events TO ledger_writer, ledger_projector,
    ledger_sealer, ledger_auditor, ledger_operator;
GRANT SELECT (first_position, last_position, archived_at, restored_at) ON public.event_archives
    TO ledger_monitor;
