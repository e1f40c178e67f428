-- Partitions of time series are made and dropped by those who write the rows, by these alone.
REVOKE ALL ON FUNCTION public.add_series_partition, public.add_series_partitions, public.check_series,
    public.cut_series, public.make_hypertable, public.show_series, public.give_series,
    public.series_storage, public.series_parts, public.series_stored, public.shown_relation,
    public.relations_of_generation, public.generation_bytes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.add_series_partitions, public.cut_series TO ledger_projector;
GRANT EXECUTE ON FUNCTION public.series_stored, public.series_storage, public.generation_bytes
    TO ledger_projector, ledger_auditor, ledger_operator, ledger_monitor;
