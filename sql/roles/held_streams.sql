-- A note of the command service: it writes it and takes it away, as operators do who repaired. Monitoring sees which streams are
-- held, not the reasons, which may quote what an event says.
REVOKE ALL ON public.held_streams FROM ledger_writer, ledger_projector, ledger_sealer, ledger_auditor,
    ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.held_streams TO ledger_writer;
GRANT SELECT ON public.held_streams TO ledger_auditor;
GRANT SELECT, DELETE ON public.held_streams TO ledger_operator;
GRANT SELECT (stream_id, stream_type, event_version, position, commands, held_since, last_command_at)
    ON public.held_streams TO ledger_monitor;
