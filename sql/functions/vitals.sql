-- How the ledger is, in names and numbers, and nothing of what it says: what every program tells
-- Prometheus, `ledgerctl status` a person, and doctor and readiness judge (ledger/vitals). One
-- statement, so that the numbers fit each other; ledger/vitals/measure.py tells what each is.
--
-- With the rights of its owner, so that whoever watches needs no right to any table. What the server
-- shows of other sessions is complete if the owner is a superuser or a member of pg_read_all_stats.
CREATE OR REPLACE FUNCTION public.vitals()
RETURNS TABLE (name text, label text, value double precision)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH now AS MATERIALIZED (SELECT clock_timestamp() AS time),
    head AS MATERIALIZED (
        SELECT coalesce(last.position, 0) AS position, last.recorded_at
        FROM now LEFT JOIN LATERAL (
            SELECT e.position, e.recorded_at FROM public.event_store AS e
            WHERE e.position >= public.log_kept_from() ORDER BY e.position DESC LIMIT 1) AS last ON true),
    sealed AS MATERIALIZED (
        SELECT coalesce((SELECT max(s.last_position) FROM public.event_seals AS s), 0) AS position),
    subscription AS MATERIALIZED (
        SELECT p.projection_name AS label, p.status, p.last_processed_position AS position,
            greatest(head.position - p.last_processed_position, 0) AS lag,
            greatest(extract(epoch FROM now.time - next.recorded_at), 0) AS lag_seconds,
            -- A time of recording that lies ahead says nothing of how long the event has waited.
            extract(epoch FROM now.time - greatest(p.last_processed_at, p.created_at,
                lease.acquired_at, CASE WHEN next.recorded_at <= now.time THEN next.recorded_at END)
                ) AS idle_seconds,
            p.owner IS NOT NULL AND coalesce(lease.leased_until > now.time, false) AS owned,
            p.owner IS NOT NULL AND coalesce(lease.leased_until <= now.time, true) AS silent,
            extract(epoch FROM now.time - CASE WHEN p.owner IS NULL THEN p.updated_at
                ELSE coalesce(lease.leased_until, p.updated_at) END) AS unowned_seconds,
            p.processing_rate_per_second AS rate, p.total_events_processed AS events,
            p.error_count AS failures, coalesce(lease.changes, 0) AS lease_changes,
            parked.keys AS parked_keys, parked.events AS parked_events
        FROM public.event_projections AS p CROSS JOIN now CROSS JOIN head
        LEFT JOIN public.event_store AS next ON next.position = p.last_processed_position + 1
        LEFT JOIN public.projection_leases AS lease USING (projection_name)
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT d.partition_key) AS keys, count(*) AS events
            FROM public.projection_dead_letters AS d
            WHERE d.projection_name = p.projection_name AND d.status = 'PARKED'
                AND d.generation = p.generation AND d.position <= p.last_processed_position
            ) AS parked),
    busy AS MATERIALIZED (
        SELECT d.* FROM pg_stat_database AS d WHERE d.datname = current_database()),
    -- Partitions count into their whole. As large as the last vacuum or analyze has noted: to ask
    -- the disk about each file would cost half of what all the other numbers do.
    sized AS MATERIALIZED (
        SELECT n.nspname || '.' || c.relname AS label,
            sum(own.relpages::bigint + coalesce(toast.relpages, 0) + coalesce(indexes.pages, 0))
                * current_setting('block_size')::bigint AS bytes,
            sum(s.n_live_tup) AS live, sum(s.n_dead_tup) AS dead
        FROM pg_stat_user_tables AS s
        JOIN pg_class AS own ON own.oid = s.relid
        LEFT JOIN pg_class AS toast ON toast.oid = own.reltoastrelid
        LEFT JOIN (SELECT i.indrelid, sum(x.relpages::bigint) AS pages
            FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid GROUP BY 1) AS indexes
            ON indexes.indrelid = s.relid
        JOIN pg_class AS c ON c.oid = coalesce(pg_partition_root(s.relid)::oid, s.relid)
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        GROUP BY 1),
    blocked AS MATERIALIZED (
        SELECT coalesce(max(extract(epoch FROM now.time - b.transaction_start)), 0) AS seconds
        FROM now LEFT JOIN LATERAL public.append_blockers() AS b ON true)
    SELECT 'head_position'::text, ''::text, head.position::float8 FROM head
    UNION ALL SELECT 'clock_ahead_seconds', '',
        coalesce(greatest(extract(epoch FROM head.recorded_at - now.time), 0), 0) FROM head, now
    UNION ALL SELECT 'append_held_seconds', '', blocked.seconds FROM blocked
    UNION ALL SELECT 'failed_commands_waiting', '', count(*)
        FROM public.failed_commands AS f LEFT JOIN public.command_inbox AS i USING (command_id)
        WHERE f.status = 'FAILED' AND coalesce(i.status, 'FAILED') = 'FAILED'
    UNION ALL SELECT 'clock_behind_seconds', c.job, greatest(extract(epoch FROM now.time - c.next_due), 0)
        FROM public.clock_jobs AS c, now
    UNION ALL SELECT 'series_default_bytes', replace(c.relname, '_default', ''),
            pg_relation_size(c.oid)::float8
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN public.event_projections AS p ON n.nspname = p.projection_name || '_' || p.generation
        WHERE c.relispartition AND c.relkind = 'r' AND c.relname LIKE '%\_default'
    UNION ALL SELECT 'streams_held', '', count(*) FROM public.held_streams
    UNION ALL SELECT 'unreadable_messages', '', count(*) FROM public.unreadable_messages
    UNION ALL SELECT 'unreadable_newest_seconds', '', -- greatest() passes NULL over
            CASE WHEN newest.received_at IS NULL THEN 'infinity'
                ELSE greatest(extract(epoch FROM now.time - newest.received_at), 0) END
        FROM now LEFT JOIN LATERAL (SELECT u.received_at FROM public.unreadable_messages AS u
            ORDER BY u.id DESC LIMIT 1) AS newest ON true
    UNION ALL SELECT 'command_workers', '', count(*) FROM public.command_workers AS w, now
        WHERE w.until > now.time
    UNION ALL SELECT 'command_workers_silent', '', count(*) FROM public.command_workers AS w, now
        WHERE w.until <= now.time
    UNION ALL SELECT 'command_partitions_unowned', '', count(*)
        FROM public.command_partitions AS c, now
        WHERE NOT EXISTS (SELECT FROM public.command_workers AS w
                          WHERE w.worker = c.owner AND w.until > now.time)
    UNION ALL SELECT 'unsealed_events', '', greatest(head.position - sealed.position, 0)
        FROM head, sealed
    UNION ALL SELECT 'unsealed_seconds', '', coalesce((
            SELECT greatest(extract(epoch FROM now.time - e.recorded_at), 0)
            FROM public.event_store AS e WHERE e.position = sealed.position + 1), 0)
        FROM now, sealed
    UNION ALL SELECT 'seals_signed', '', coalesce((
        SELECT (s.public_key IS NOT NULL)::int FROM public.event_seals AS s
        ORDER BY s.number DESC LIMIT 1), 0)
    UNION ALL SELECT 'database_connections_ratio', '',
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
            OR backend_type IS NULL)::float8 / current_setting('max_connections')::float8
    UNION ALL SELECT 'notification_queue_ratio', '', pg_notification_queue_usage()
    UNION ALL SELECT 'database_blocked_seconds', '', coalesce(max(
            extract(epoch FROM now.time - l.waitstart)), 0)
        FROM now LEFT JOIN pg_locks AS l ON NOT l.granted AND l.database =
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        GROUP BY now.time
    UNION ALL SELECT 'database_bytes', '', pg_database_size(current_database())
    UNION ALL SELECT 'database_blocked_sessions', '', count(*) FROM pg_locks AS l
        WHERE NOT l.granted AND l.database =
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    UNION ALL SELECT 'database_transactions', 'committed', xact_commit FROM busy
    UNION ALL SELECT 'database_transactions', 'rolled back', xact_rollback FROM busy
    UNION ALL SELECT 'database_blocks', 'memory', blks_hit FROM busy
    UNION ALL SELECT 'database_blocks', 'disk', blks_read FROM busy
    UNION ALL SELECT 'database_deadlocks', '', deadlocks FROM busy
    UNION ALL SELECT 'database_wal_bytes', '', CASE
        WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'
    UNION ALL SELECT 'database_dead_rows_ratio', '', coalesce(max(dead / nullif(live + dead, 0)), 0)
        FROM sized WHERE live + dead > 10000
    UNION ALL (SELECT 'database_table_bytes', label, bytes FROM sized
        ORDER BY bytes DESC, label LIMIT 12)
    UNION ALL SELECT 'wal_archive_failing', '', (current_setting('archive_mode') <> 'off'
        AND last_failed_time > coalesce(last_archived_time, '-infinity'))::int FROM pg_stat_archiver
    UNION ALL SELECT 'log_partition_room_events', '',
        greatest((SELECT max(p.last_position) FROM public.event_partitions AS p) - head.position, 0)
        FROM head
    UNION ALL SELECT 'replication_lag_seconds', '', CASE
        WHEN NOT pg_is_in_recovery() THEN
            (SELECT coalesce(max(extract(epoch FROM r.replay_lag)), 0) FROM pg_stat_replication AS r)
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM now.time - pg_last_xact_replay_timestamp()) END FROM now
    UNION ALL SELECT one.name, s.label, one.value FROM subscription AS s CROSS JOIN LATERAL (VALUES
        ('projection_position', s.position::float8),
        ('projection_lag_events', s.lag::float8),
        ('projection_lag_seconds', coalesce(s.lag_seconds, 0)::float8),
        ('projection_stalled_seconds', CASE WHEN s.lag = 0 OR s.status = 'PAUSED' THEN 0
            ELSE greatest(s.idle_seconds, 0) END::float8),
        ('projection_rate_events_per_second', coalesce(s.rate, 0)::float8),
        ('projection_parked_keys', s.parked_keys::float8),
        ('projection_parked_events', s.parked_events::float8),
        ('projection_owned', s.owned::int::float8),
        ('projection_silent', s.silent::int::float8),
        ('projection_paused', (s.status = 'PAUSED')::int::float8),
        ('projection_failing', (s.status = 'ERROR')::int::float8),
        ('projection_needs_person', (s.status IN ('PAUSED', 'ERROR') OR s.parked_keys > 0
            OR NOT s.owned AND s.unowned_seconds > 3)::int::float8),
        ('projection_events', s.events::float8),
        ('projection_failures', s.failures::float8),
        ('projection_lease_changes', s.lease_changes::float8)) AS one (name, value)
$$;
