-- Whoever watches is told of whom.
REVOKE ALL ON FUNCTION public.long_transactions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.long_transactions TO ledger_auditor, ledger_operator, ledger_monitor;
