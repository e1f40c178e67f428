-- Appends one event that says what an operator does about an event at which a stream cannot be read.
-- Returns its position.
--
-- With the rights of its owner, so that operators can append this and nothing else: the stream, its
-- type and the place in the log are decided here, and who was logged in is added to what the caller
-- says. Every name is qualified, so that nobody's schema can get in between.
CREATE OR REPLACE FUNCTION public.repair_stream(
    event_id uuid, repairs uuid, stream uuid, event_type text, event_data jsonb, channel text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    appended record;
    last     record;
BEGIN
    IF event_type NOT IN ('stream.event_passed_over', 'stream.gap_accepted') THEN
        RAISE EXCEPTION 'event type % is no repair of a stream', quote_nullable(event_type)
            USING ERRCODE = 'check_violation';
    END IF;
    IF coalesce(btrim(event_data->>'actor'), '') = ''
        OR coalesce(btrim(event_data->>'reason'), '') = '' THEN
        RAISE EXCEPTION 'who repairs a stream and why is kept' USING ERRCODE = 'check_violation';
    END IF;
    SELECT b.head, b.recorded_at INTO appended FROM public.begin_append(1, channel) AS b;
    IF NOT EXISTS (SELECT FROM public.event_store AS e
        WHERE e.position = (repair_stream.event_data->>'position')::bigint AND e.stream_id = stream
            AND e.event_version = (repair_stream.event_data->>'event_version')::integer
            AND repair_stream.event_data->>'repaired_stream_id' = stream::text) THEN
        RAISE EXCEPTION 'stream % has no such event', stream USING ERRCODE = 'check_violation';
    END IF;
    SELECT e.event_version, e.stream_type, e.event_data->>'repaired_stream_id' AS repaired
        INTO last
        FROM public.event_store AS e WHERE e.stream_id = repairs
        ORDER BY e.event_version DESC LIMIT 1;
    IF last.stream_type <> 'stream' OR last.repaired <> stream::text THEN
        RAISE EXCEPTION 'stream % is not that of the repairs of %', repairs, stream
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM public.event_store AS e
        WHERE e.stream_id = repairs AND e.event_type = repair_stream.event_type
            AND e.event_data->>'position' = repair_stream.event_data->>'position') THEN
        RAISE EXCEPTION 'the event is repaired so already' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO public.event_store (position, id, stream_id, stream_type, event_type, event_version,
        event_data, metadata, occurred_at, recorded_at)
    VALUES (appended.head + 1, event_id, repairs, 'stream', event_type,
        coalesce(last.event_version, 0) + 1, event_data,
        jsonb_build_object('source', 'operator', 'login', session_user),
        appended.recorded_at, appended.recorded_at);
    RETURN appended.head + 1;
END;
$$;
