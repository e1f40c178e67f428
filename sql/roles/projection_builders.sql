-- Rebuilds and verifications are an operator's; who may see how far they are sees whose they are.
REVOKE ALL ON public.projection_builders FROM PUBLIC, ledger_writer, ledger_projector,
    ledger_sealer, ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.projection_builders TO ledger_projector;
GRANT SELECT ON public.projection_builders TO ledger_auditor, ledger_operator, ledger_monitor;
