-- Who may still see the database as it was before transaction `before`, or holds one of `views`:
-- what a swap of a read model waits for (projections/engine/builds/snapshots.py), told so that an operator
-- can end it. Whether anybody is there is not decided here, but by PostgreSQL, which sees them all.
--
-- With the rights of its owner: everybody sees that a session is there and what it holds back, but
-- since when, and standbys, only members of pg_read_all_stats. It tells no more than that. Where its
-- owner does not see it either, ages and standbys are missing.
CREATE OR REPLACE FUNCTION public.readers_in_the_way(before xid, views regclass[])
RETURNS TABLE (who text, application text, seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH here AS (SELECT oid, datname FROM pg_database WHERE datname = current_database()),
    held AS (
        SELECT DISTINCT l.pid, l.virtualtransaction FROM pg_locks AS l, here
        WHERE l.locktype = 'relation' AND l.granted AND l.database = here.oid
            AND l.relation = ANY (views))
    SELECT 'database session ' || a.pid, a.application_name,
        extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))
    FROM pg_stat_activity AS a JOIN here USING (datname)
    WHERE a.pid <> pg_backend_pid() AND (
        a.pid IN (SELECT held.pid FROM held)
        OR age(a.backend_xmin) >= age(before) OR age(a.backend_xid) >= age(before))
    UNION ALL
    SELECT 'prepared transaction ' || p.gid, NULL, extract(epoch FROM clock_timestamp() - p.prepared)
    FROM pg_prepared_xacts AS p JOIN here ON here.datname = p.database
    WHERE age(p.transaction) >= age(before)
        OR '-1/' || p.transaction IN (SELECT held.virtualtransaction FROM held)
    UNION ALL
    SELECT 'standby at ' || coalesce(host(r.client_addr), 'this machine'), r.application_name, NULL
    FROM pg_stat_replication AS r WHERE age(r.backend_xmin) >= age(before)
    UNION ALL
    SELECT 'replication slot ' || s.slot_name, NULL, NULL
    FROM pg_replication_slots AS s WHERE age(s.xmin) >= age(before);
$$;
