-- For those who commit something that is acknowledged.
REVOKE ALL ON FUNCTION public.commit_durably FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.commit_durably
    TO ledger_writer, ledger_projector, ledger_sealer, ledger_operator;
