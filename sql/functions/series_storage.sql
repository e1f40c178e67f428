-- How the time series of builds that are made now are stored: HYPERTABLES where the database has the
-- extension TimescaleDB with its columnstore, of a version that attaches chunks; else PARTITIONS. Who has
-- it and wants none: ALTER DATABASE … SET ledger.series_storage = 'partitions'.
CREATE OR REPLACE FUNCTION public.series_storage() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'timescaledb'
                AND string_to_array(split_part(e.extversion, '-', 1), '.')::integer[] >= ARRAY[2, 21])
            AND current_setting('timescaledb.license', true) = 'timescale'
            AND current_setting('ledger.series_storage', true) IS DISTINCT FROM 'partitions'
        THEN 'HYPERTABLES' ELSE 'PARTITIONS' END;
$$;
