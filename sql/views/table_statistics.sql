-- Each table, partitions and chunks of a hypertable counted into their whole: how large it is, how it is read and written, and
-- when autovacuum or somebody was there last.
CREATE OR REPLACE VIEW public.table_statistics WITH (security_invoker = true) AS
SELECT n.nspname AS schema_name, c.relname AS table_name, count(*) AS parts,
    sum(pg_catalog.pg_total_relation_size(s.relid))::bigint AS total_bytes,
    sum(pg_catalog.pg_indexes_size(s.relid))::bigint AS index_bytes,
    sum(s.n_live_tup)::bigint AS live_rows, sum(s.n_dead_tup)::bigint AS dead_rows,
    round(100.0 * sum(s.n_dead_tup) / nullif(sum(s.n_live_tup + s.n_dead_tup), 0), 1) AS dead_percent,
    sum(s.seq_scan)::bigint AS sequential_scans, sum(s.idx_scan)::bigint AS index_scans,
    sum(s.n_tup_ins)::bigint AS inserted, sum(s.n_tup_upd)::bigint AS updated,
    sum(s.n_tup_hot_upd)::bigint AS updated_in_place, sum(s.n_tup_del)::bigint AS deleted,
    max(greatest(s.last_vacuum, s.last_autovacuum)) AS vacuumed_at,
    max(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at
FROM pg_catalog.pg_stat_user_tables AS s
JOIN pg_catalog.pg_class AS c
    ON c.oid = coalesce(pg_catalog.pg_partition_root(s.relid)::oid,
        (SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = s.relid), s.relid)
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname <> 'generation_marks'
GROUP BY n.nspname, c.relname;

COMMENT ON VIEW public.table_statistics IS 'Size and use of each table, with its partitions.';
