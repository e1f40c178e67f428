-- The command service, which waits, is told of whom, and may end what has stopped.
REVOKE ALL ON FUNCTION public.append_blockers, public.end_append_blocker FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.append_blockers, public.end_append_blocker TO ledger_writer;
