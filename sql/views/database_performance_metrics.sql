-- How busy the server has been with this database, on average since its statistics were begun: one
-- row. The mean time of a statement, and statements a second, are known where pg_stat_statements is
-- (slow_queries); else the rate is that of transactions.
CREATE OR REPLACE VIEW public.database_performance_metrics WITH (security_invoker = true) AS
WITH counted AS (
    SELECT d.*, coalesce(d.stats_reset, w.stats_reset) AS since,
        greatest(extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, w.stats_reset)), 1)
            AS seconds
    FROM pg_catalog.pg_stat_database AS d CROSS JOIN pg_catalog.pg_stat_bgwriter AS w
    WHERE d.datname = pg_catalog.current_database())
SELECT since,
    round((xact_commit + xact_rollback) / seconds, 2) AS transactions_per_second,
    (SELECT round((sum(s.calls) / greatest(max(s.seconds), 1))::numeric, 2)
        FROM public.statement_statistics() AS s) AS statements_per_second,
    (SELECT round((sum(s.calls * s.mean_ms) / nullif(sum(s.calls), 0))::numeric, 3)
        FROM public.statement_statistics() AS s) AS mean_statement_ms,
    round(100.0 * xact_rollback / nullif(xact_commit + xact_rollback, 0), 2) AS rollback_percent,
    round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2) AS cache_hit_percent,
    numbackends AS connections,
    pg_catalog.current_setting('max_connections')::integer AS max_connections,
    deadlocks, temp_bytes, pg_catalog.pg_database_size(datid) AS database_bytes
FROM counted;

COMMENT ON VIEW public.database_performance_metrics IS
    'How busy the server has been with this database since its statistics were begun.';
