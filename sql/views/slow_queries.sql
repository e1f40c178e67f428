-- The twenty slowest statements on average of those that come often (more than 100 calls), and the
-- twenty of the others that once took longest, from a second on. Empty without pg_stat_statements.
CREATE OR REPLACE VIEW public.slow_queries WITH (security_invoker = true) AS
WITH counted AS (
    SELECT s.*, s.calls > 100 AS often FROM public.statement_statistics() AS s
    WHERE s.calls > 100 OR s.longest_ms >= 1000),
placed AS (
    SELECT c.*, row_number() OVER (PARTITION BY c.often
        ORDER BY CASE WHEN c.often THEN c.mean_ms ELSE c.longest_ms END DESC, c.query) AS place
    FROM counted AS c)
SELECT CASE WHEN often THEN 'often' ELSE 'seldom' END AS kind, place, calls,
    round(mean_ms::numeric, 3) AS mean_ms, round(longest_ms::numeric, 3) AS longest_ms,
    round(total_ms::numeric, 3) AS total_ms, row_count,
    left(regexp_replace(query, '\s+', ' ', 'g'), 500) AS query
FROM placed WHERE place <= 20;

COMMENT ON VIEW public.slow_queries IS 'The statements that take longest, as pg_stat_statements counts.';
