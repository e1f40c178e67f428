-- Takes the append lock until the end of the transaction, tells the head of the log and the
-- time of recording, and queues one NOTIFY with the head after the append.
--
-- PL/pgSQL on purpose: the lock and the read of the head must be separate statements, each
-- with a snapshot of its own, because waiting for a lock does not refresh a snapshot. An
-- advisory lock, because a table lock would keep vacuum out.
-- recorded_at never decreases with position, even if the server's clock does.
CREATE OR REPLACE FUNCTION begin_append(
    event_count integer, channel text, OUT head bigint, OUT recorded_at timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('event_store'), 1);
    SELECT e.position, e.recorded_at INTO head, recorded_at
        FROM public.event_store AS e ORDER BY e.position DESC LIMIT 1;
    head := coalesce(head, 0);
    recorded_at := greatest(clock_timestamp(), recorded_at);
    IF event_count > 0 THEN
        PERFORM pg_notify(channel, (head + event_count)::text);
    END IF;
END;
$$;
