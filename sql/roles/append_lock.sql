-- Nobody's: begin_append takes it with the rights of its owner.
REVOKE ALL ON public.append_lock FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.append_lock TO ledger_auditor;
