-- Those who swap read models.
REVOKE ALL ON FUNCTION public.readers_in_the_way FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.readers_in_the_way TO ledger_operator;
