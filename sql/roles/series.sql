-- Partitions of time series are made and dropped by those who write the rows, by these alone.
REVOKE ALL ON FUNCTION public.add_series_partition, public.add_series_partitions, public.check_series,
    public.cut_series FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.add_series_partitions, public.cut_series TO ledger_projector;
