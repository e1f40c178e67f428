-- The command service, which waits, is told of whom, and may end what has stopped; so is whoever
-- watches, who may not.
REVOKE ALL ON FUNCTION public.append_blockers, public.end_append_blocker FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.append_blockers, public.end_append_blocker TO ledger_writer;
GRANT EXECUTE ON FUNCTION public.append_blockers
    TO ledger_auditor, ledger_operator, ledger_monitor;
