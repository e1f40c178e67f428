-- The owner of the log alone says what read models are made of: these texts are run with its rights.
REVOKE ALL ON public.read_model_definitions FROM PUBLIC, ledger_writer, ledger_projector,
    ledger_sealer, ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.read_model_definitions TO ledger_auditor, ledger_operator;
