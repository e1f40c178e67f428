-- Indexes that nobody has used since the statistics were begun, and that cost room and every write: of
-- more than 1 MB, and none that keeps rows unique or stands for a partition's constraint.
CREATE OR REPLACE VIEW public.unused_indexes WITH (security_invoker = true) AS
SELECT s.schemaname AS schema_name, s.relname AS table_name, s.indexrelname AS index_name,
    pg_catalog.pg_relation_size(s.indexrelid) AS index_bytes,
    (SELECT coalesce(d.stats_reset, w.stats_reset)
     FROM pg_catalog.pg_stat_database AS d CROSS JOIN pg_catalog.pg_stat_bgwriter AS w
     WHERE d.datname = pg_catalog.current_database()) AS since
FROM pg_catalog.pg_stat_user_indexes AS s JOIN pg_catalog.pg_index AS i USING (indexrelid)
WHERE s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisexclusion
    AND pg_catalog.pg_relation_size(s.indexrelid) > 1024 * 1024;

COMMENT ON VIEW public.unused_indexes IS 'Indexes of more than 1 MB that nobody has used.';
