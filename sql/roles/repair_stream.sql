-- What operators append about streams that cannot be read, and they alone.
REVOKE ALL ON FUNCTION public.repair_stream FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.repair_stream TO ledger_operator;
