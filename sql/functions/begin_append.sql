-- Takes the append lock until the end of the transaction, tells the head of the log and the
-- time of recording, and queues one NOTIFY with the head after the append, if there is room for it
-- (wake.sql). The transaction's commit waits for the disk, whatever the server's default.
--
-- PL/pgSQL on purpose: the lock and the read of the head must be separate statements, each
-- with a snapshot of its own, because waiting for a lock does not refresh a snapshot. With the
-- rights of its owner, who alone may lock public.append_lock (migrations/0015).
-- recorded_at never decreases with position, even if the server's clock does.
--
-- A partition of the log that is missing is made: nothing that happened waits for it. And where the
-- end of the log was cut off, past all triggers, event_streams forgets what began there.
CREATE OR REPLACE FUNCTION public.begin_append(
    event_count integer, channel text, OUT head bigint, OUT recorded_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    LOCK TABLE public.append_lock IN EXCLUSIVE MODE;
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM public.commit_durably();
    END IF;
    SELECT e.position, e.recorded_at INTO head, recorded_at
        FROM public.event_store AS e WHERE e.position >= public.log_kept_from()
        ORDER BY e.position DESC LIMIT 1;
    head := coalesce(head, 0);
    PERFORM set_config('ledger.append_head', head::text, true);  -- for guard_appended_events
    recorded_at := greatest(clock_timestamp(), recorded_at);
    SELECT p.last_position, p.last_position - p.first_position + 1 AS positions, (
            SELECT max(o.appended_to) FROM public.event_partitions AS o) > head AS cut_off INTO last
        FROM public.event_partitions AS p ORDER BY p.first_position DESC LIMIT 1;
    IF last.cut_off THEN
        PERFORM public.forget_cut_off_streams(head);
    END IF;
    IF event_count > 0 THEN
        WHILE last.last_position < head + event_count LOOP
            PERFORM public.add_event_partition(last.positions);
            last.last_position := last.last_position + last.positions;
        END LOOP;
        PERFORM public.wake(channel, (head + event_count)::text);
    END IF;
END;
$$;
