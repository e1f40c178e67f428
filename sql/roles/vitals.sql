-- Every program tells how the ledger is, and so may whoever watches: names and numbers only.
REVOKE ALL ON FUNCTION public.vitals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.vitals TO ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_monitor, ledger_http;
