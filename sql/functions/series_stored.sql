-- How the time series of the live builds are stored: whether as hypertables, in how many parts, how many of
-- those are compressed, all bytes, and what the last run of TimescaleDB's that was to compress said, if it
-- failed. For operators (ledgerctl doctor).
--
-- With the rights of its owner, who sees jobs and sizes of what is its own.
CREATE OR REPLACE FUNCTION public.series_stored()
RETURNS TABLE (table_name text, is_hypertable boolean, parts bigint, compressed bigint, bytes bigint,
    failure text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT n.nspname::text AS place, c.relname::text AS name,
            public.shown_relation(n.nspname, c.relname) <> c.oid AS hyper
        FROM public.event_projections AS p
        JOIN pg_namespace AS n ON n.nspname = p.projection_name || '_' || p.generation
        JOIN pg_class AS c ON c.relnamespace = n.oid
            AND (c.relkind = 'p' OR public.shown_relation(n.nspname, c.relname) <> c.oid)
        WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2
    LOOP
        table_name := one.name;
        is_hypertable := one.hyper;
        SELECT count(*), count(*) FILTER (WHERE s.is_compressed), coalesce(sum(s.bytes), 0)
            INTO parts, compressed, bytes FROM public.series_parts(one.place, one.name) AS s;
        failure := NULL;
        IF one.hyper THEN
            EXECUTE 'SELECT e.err_message FROM timescaledb_information.jobs AS j '
                'JOIN timescaledb_information.job_stats AS s USING (job_id) '
                'LEFT JOIN LATERAL (SELECT * FROM timescaledb_information.job_errors AS e '
                '    WHERE e.job_id = j.job_id ORDER BY e.finish_time DESC LIMIT 1) AS e ON true '
                'WHERE j.hypertable_schema = $1 AND j.hypertable_name = $2 '
                '    AND s.last_run_status = ''Failed'' LIMIT 1'
                INTO failure USING one.place, one.name;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
