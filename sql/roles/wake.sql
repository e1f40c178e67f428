-- Whoever appends, folds or operates tells of it.
REVOKE ALL ON FUNCTION public.wake FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.wake TO ledger_writer, ledger_projector, ledger_sealer,
    ledger_operator;
