-- Which life of the log this is says nothing of what is in it. The view reads the log with its
-- owner's rights.
REVOKE ALL ON public.log_incarnations FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.log_incarnations TO ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator, ledger_monitor;
