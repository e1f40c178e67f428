-- The housekeeping of the command service.
REVOKE ALL ON FUNCTION public.forget_unreadable_messages FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.forget_unreadable_messages TO ledger_writer;
