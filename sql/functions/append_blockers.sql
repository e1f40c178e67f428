-- Who holds up appends, from the second statement of a worker that waited in vain: whoever has the
-- append lock, a lock on the tables that are appended to, or an outcome that is being settled.
--
-- With the rights of its owner, who may see other sessions if it is a superuser or a member of
-- pg_read_all_stats; else their state is null. `may_end`: a transaction of ours that has stopped in
-- the middle, or an operator's that goes on for longer than its one append. Not the transaction of an
-- administrator who changes the tables, nor a commit that waits for a standby: ending it would not
-- take it back.
CREATE OR REPLACE FUNCTION public.append_blockers()
RETURNS TABLE (pid integer, backend_start timestamptz, login text, application text,
    state text, transaction_start timestamptz, query_start timestamptz, relation text, lock text,
    may_end boolean)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (l.pid) l.pid, a.backend_start, a.usename::text, a.application_name, a.state,
        a.xact_start, a.query_start, l.relation::regclass::text, l.mode,
        (l.relation = 'public.append_lock'::regclass OR l.mode = 'RowExclusiveLock')
            AND a.wait_event IS DISTINCT FROM 'SyncRep'
            AND (NOT pg_has_role(a.usesysid, 'ledger_writer', 'MEMBER')
                OR a.state LIKE 'idle in transaction%'
                    AND a.state_change < clock_timestamp() - interval '2 seconds')
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        AND (l.relation = 'public.append_lock'::regclass AND l.mode <> 'AccessShareLock'
            OR (l.relation IN ('public.event_store'::regclass, 'public.command_inbox'::regclass)
                    OR l.relation IN (SELECT i.inhrelid FROM pg_inherits AS i
                        WHERE i.inhparent = 'public.event_store'::regclass))
                AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                    'AccessExclusiveLock')
            OR l.relation = 'public.command_inbox'::regclass AND l.mode = 'RowExclusiveLock'
                AND NOT pg_has_role(a.usesysid, 'ledger_writer', 'MEMBER'))
    ORDER BY l.pid, l.relation = 'public.append_lock'::regclass DESC
$$;
