-- The parts of a time series: partitions, or the chunks of a hypertable, with the time at which each is
-- over (NULL: the partition of what has none), whether it is compressed, and its bytes with all that
-- belongs to it.
CREATE OR REPLACE FUNCTION public.series_parts(schema_name text, table_name text)
RETURNS TABLE (part regclass, until timestamptz, is_compressed boolean, bytes bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    timescale text := (SELECT e.extnamespace::regnamespace FROM pg_extension AS e
                       WHERE e.extname = 'timescaledb');
    series    regclass := to_regclass(format('%I.%I', schema_name, table_name));
BEGIN
    IF public.shown_relation(schema_name, table_name) = series THEN
        RETURN QUERY SELECT c.oid::regclass,
            substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$TO \('([^']+)'\)$re$)::timestamptz,
            false, pg_total_relation_size(c.oid)
            FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = series;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($query$
        SELECT to_regclass(format('%%I.%%I', c.chunk_schema, c.chunk_name)), c.range_end,
            c.is_compressed, size.total_bytes
        FROM timescaledb_information.chunks AS c
        JOIN %1$s.chunks_detailed_size(%2$L::regclass) AS size USING (chunk_schema, chunk_name)
        WHERE c.hypertable_schema = %3$L AND c.hypertable_name = %4$L$query$,
        timescale, series, schema_name, table_name);
END;
$$;
