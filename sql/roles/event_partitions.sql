-- Written by functions of the owner's as events are appended. How much room the log has is no secret.
REVOKE ALL ON public.event_partitions FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.event_partitions TO ledger_auditor, ledger_operator, ledger_monitor;
REVOKE ALL ON FUNCTION public.add_event_partition, public.create_event_partition,
    public.make_event_partition, public.forget_cut_off_streams, public.guard_appended_events,
    public.register_streams FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.make_event_partition, public.register_streams TO ledger_writer;
