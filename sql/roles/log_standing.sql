-- Whoever may ask anything may know as of when the answer is.
REVOKE ALL ON FUNCTION public.log_standing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.log_standing TO ledger_user, ledger_auditor, ledger_operator,
    ledger_http;
