-- The record of what was dropped: written by the functions that drop, read by all who may look.
REVOKE ALL ON public.retention_log FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.retention_log TO ledger_auditor, ledger_operator, ledger_monitor;
