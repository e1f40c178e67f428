-- Whoever follows the log remembers; who reads may see it.
REVOKE ALL ON public.subscription_memories FROM ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE ON public.subscription_memories TO ledger_projector;
GRANT SELECT ON public.subscription_memories TO ledger_auditor, ledger_operator;
