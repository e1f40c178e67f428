-- Written by functions of the owner's: for nobody else to use.
REVOKE ALL ON public.event_streams FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.event_streams TO ledger_auditor;
