-- The sessions of the server whose transactions have lasted longest: one of them may keep the queue of
-- notifications from being emptied. With the rights of its owner, who sees them if it is a superuser or
-- a member of pg_read_all_stats; of what they do it tells nothing.
CREATE OR REPLACE FUNCTION public.long_transactions()
RETURNS TABLE (pid integer, login text, application text, database text, seconds double precision)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.pid, a.usename::text, a.application_name, a.datname::text,
        extract(epoch FROM clock_timestamp() - a.xact_start)::float8
    FROM pg_stat_activity AS a
    WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    ORDER BY a.xact_start LIMIT 3
$$;
