-- For whoever may read the log, with whose own rights the view reads it.
REVOKE ALL ON public.log_incarnations FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.log_incarnations TO ledger_writer, ledger_projector, ledger_auditor,
    ledger_operator;
