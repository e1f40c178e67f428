-- Tables that autovacuum has not kept up with, the most urgent first: `urgency` 1 has more than a tenth
-- (and a thousand) of dead rows, 2 has changed and was analyzed by nobody for a day. Bloat of indexes
-- is not guessed from here: measure it by pgstattuple before any REINDEX (CONCURRENTLY).
CREATE OR REPLACE VIEW public.tables_needing_maintenance WITH (security_invoker = true) AS
WITH counted AS (
    SELECT s.*, 100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0) AS dead_percent,
        greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at
    FROM pg_catalog.pg_stat_user_tables AS s),
judged AS (
    SELECT c.*, CASE WHEN c.dead_percent > 10 AND c.n_dead_tup > 1000 THEN 1 ELSE 2 END AS urgency
    FROM counted AS c
    WHERE c.dead_percent > 10 AND c.n_dead_tup > 1000 OR c.n_mod_since_analyze > 0
        AND coalesce(c.analyzed_at < clock_timestamp() - interval '24 hours', c.n_live_tup > 1000))
SELECT urgency, CASE urgency WHEN 1 THEN 'HIGH' ELSE 'MEDIUM' END AS priority,
    schemaname AS schema_name, relname AS table_name, n_live_tup AS live_rows,
    n_dead_tup AS dead_rows, round(dead_percent, 1) AS dead_percent,
    n_mod_since_analyze AS changed_rows, analyzed_at,
    format(CASE urgency WHEN 1 THEN 'VACUUM (ANALYZE) %I.%I' ELSE 'ANALYZE %I.%I' END,
        schemaname, relname) AS remedy
FROM judged;

COMMENT ON VIEW public.tables_needing_maintenance IS 'Tables that autovacuum has not kept up with.';
