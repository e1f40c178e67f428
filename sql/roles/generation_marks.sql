-- Where swaps of read models mark a moment: a table for each build (functions/mark_generation.sql). On
-- nobody's search path; only operators look in.
CREATE SCHEMA IF NOT EXISTS generation_marks;
REVOKE ALL ON SCHEMA generation_marks FROM PUBLIC, ledger_operator;
GRANT USAGE ON SCHEMA generation_marks TO ledger_operator;
REVOKE ALL ON FUNCTION public.mark_generation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.mark_generation TO ledger_operator;
