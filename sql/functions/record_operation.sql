-- Appends one event that says what an operator did to a projection, in the transaction of the deed
-- itself: neither is there without the other. Returns its position.
--
-- With the rights of its owner, so that operators can append this and nothing else: the stream, its
-- type and the place in the log are decided here, and who was logged in is added to what the caller
-- says. Every name is qualified, so that nobody's schema can get in between.
CREATE OR REPLACE FUNCTION record_operation(
    event_id uuid, stream_id uuid, event_type text, event_data jsonb, channel text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    appended record;
    version  integer;
    found_type text;
    found_name text;
BEGIN
    IF event_type !~ '^projection\.[a-z_]+$' THEN
        RAISE EXCEPTION 'event type % is no operation on a projection', quote_nullable(event_type)
            USING ERRCODE = 'check_violation', HINT = 'Its name begins with "projection.".';
    END IF;
    IF coalesce(btrim(event_data->>'actor'), '') = ''
        OR coalesce(event_data->>'projection_name', '') = '' THEN
        RAISE EXCEPTION 'an operation names its projection_name and its actor'
            USING ERRCODE = 'check_violation', HINT = 'Say who does it, in event_data.';
    END IF;
    SELECT b.head, b.recorded_at INTO appended FROM public.begin_append(1, channel) AS b;
    SELECT e.event_version, e.stream_type, e.event_data->>'projection_name'
        INTO version, found_type, found_name
        FROM public.event_store AS e WHERE e.stream_id = record_operation.stream_id
            AND (e.position >= public.log_kept_from() OR e.position = ANY(ARRAY(
                SELECT kept.position FROM public.archived_events AS kept
                WHERE kept.stream_id = record_operation.stream_id)))
        ORDER BY e.event_version DESC LIMIT 1;
    IF found_type <> 'projection' OR found_name <> event_data->>'projection_name' THEN
        RAISE EXCEPTION 'stream % is not that of projection %', stream_id,
                event_data->>'projection_name'
            USING ERRCODE = 'check_violation', HINT = 'Use operation.stream_id(projection_name).';
    END IF;
    INSERT INTO public.event_store (position, id, stream_id, stream_type, event_type, event_version,
        event_data, metadata, occurred_at, recorded_at)
    VALUES (appended.head + 1, event_id, stream_id, 'projection', event_type,
        coalesce(version, 0) + 1, event_data,
        jsonb_build_object('source', 'operator', 'login', session_user),
        appended.recorded_at, appended.recorded_at);
    RETURN appended.head + 1;
END;
$$;
