-- Enters the streams that began in the oldest full partition whose streams are not entered yet; returns
-- its first position, or NULL if there is none. The service of commands calls it (ledger/programs/
-- log_room.py), and whoever archives. Without the append lock: a full partition does not change, but
-- where somebody cuts off the end of the log, past all triggers, and then nothing is entered.
CREATE OR REPLACE FUNCTION public.register_streams() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
BEGIN
    SELECT p.first_position AS first, p.last_position AS last INTO part
    FROM public.event_partitions AS p
    WHERE NOT p.streams_registered AND p.appended_to = p.last_position
    ORDER BY p.first_position LIMIT 1;
    IF part.first IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.event_streams (stream_id, first_position)
    SELECT e.stream_id, e.position FROM public.event_store AS e
    WHERE e.event_version = 1 AND e.position BETWEEN part.first AND part.last
    ORDER BY e.stream_id
    ON CONFLICT (stream_id) DO NOTHING;
    UPDATE public.event_partitions AS p SET streams_registered = true
    WHERE p.first_position = part.first AND p.appended_to = p.last_position;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the log was cut off before the end of the partition at %', part.first
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call it again.';
    END IF;
    RETURN part.first;
END;
$$;
