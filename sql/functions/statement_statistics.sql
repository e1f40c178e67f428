-- What pg_stat_statements has counted of this database, in whatever schema it was made; nothing where
-- the server has not loaded it. `seconds` is how long it has counted.
--
-- With the rights of its owner, who sees the statements of others if it is a superuser or a member of
-- pg_read_all_stats: queries and changes of rows alone, with every text in quotes left out. So nobody
-- reads here what a statement was about, and a password of ALTER ROLE is in none of them.
CREATE OR REPLACE FUNCTION public.statement_statistics()
RETURNS TABLE (query text, calls bigint, mean_ms double precision, longest_ms double precision,
    total_ms double precision, row_count bigint, seconds double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place text := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n
                   ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements');
BEGIN
    -- The setting is there only where the server loaded it at its start.
    IF place IS NULL OR current_setting('pg_stat_statements.max', true) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($statistics$
        SELECT regexp_replace(s.query, '''[^'']*''', '?', 'g'), s.calls, s.mean_exec_time,
            s.max_exec_time, s.total_exec_time, s.rows,
            extract(epoch FROM clock_timestamp() - i.stats_reset)::float8
        FROM %1$I.pg_stat_statements(true) AS s CROSS JOIN %1$I.pg_stat_statements_info() AS i
        WHERE s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND s.query ~* '^\s*(select|insert|update|delete|merge|with)\y'
        $statistics$, place);
END;
$$;
