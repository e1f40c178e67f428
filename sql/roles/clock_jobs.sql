-- The clock's place with each of its jobs.
REVOKE ALL ON public.clock_jobs FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor, ledger_scheduler;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.clock_jobs TO ledger_scheduler;
GRANT SELECT ON public.clock_jobs TO ledger_auditor, ledger_operator, ledger_monitor;
