-- After events were appended, for each partition that has new ones: what is unique within it is kept
-- unique by its own keys; this asks whether another partition has it.
--
--   streams that begin     event_streams has those of full partitions; one that is full and not entered
--                          there yet, mostly none or one, is asked itself
--   streams that go on     an event whose stream has a lower version in the same partition is beyond
--                          all partitions before: the first of a stream in a partition was compared
--                          with them
--   versions without gaps  the version before the lowest that is new of a stream is there, and none is
--                          missing between the new ones. Of what this transaction appends, that is:
--                          what somebody put into the log past all triggers is found by whoever
--                          reads the stream, and must not stop who appends to another
--   ids                    an id is a UUIDv7, so those of one append lie close together; only if a
--                          partition before has any between the lowest and the highest, each is
--                          looked up
--
-- The events are found by position, and not handed over as a transition table, which would have COPY
-- write them one by one. The append lock keeps others from appending meanwhile.
--
-- A stream whose new versions have no gap and follow one in the same partition, or begin with 1, is right
-- in both respects, and nothing more is asked. Archived events are known by their keys: no file is read.
--
-- Plans are made once for a session, maybe when the tables were empty, as a new partition always is until
-- it is analyzed: told what will be right. And nowhere EXISTS, which may become a join that reads the whole
-- partition: an append then took as long as there were events in it. One look for each row instead.
CREATE OR REPLACE FUNCTION public.guard_appended_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    part      record;
    last      bigint;
    positions bigint[];  -- of the new events, and with them:
    ids       uuid[];
    streams   uuid[];
    versions  integer[];
    unsure    uuid[];    -- streams of which another partition has to be asked
    double    record;
    not_entered bigint;  -- the first position whose stream may be missing in event_streams
    kept_from constant bigint := public.log_kept_from();
    head      constant bigint := nullif(current_setting('ledger.append_head', true), '')::bigint;
BEGIN
    LOCK TABLE public.append_lock IN EXCLUSIVE MODE;
    FOR part IN
        SELECT p.first_position AS first, p.last_position AS until,
            coalesce(p.appended_to, p.first_position - 1) AS after
        FROM public.event_partitions AS p
        WHERE p.appended_to IS NULL OR p.appended_to < p.last_position
        ORDER BY p.first_position
    LOOP
        SELECT max(e.position), array_agg(e.position), array_agg(e.id), array_agg(e.stream_id),
                array_agg(e.event_version)
            INTO last, positions, ids, streams, versions
            FROM public.event_store AS e
            WHERE e.position > part.after AND e.position <= part.until;
        CONTINUE WHEN last IS NULL;

        IF part.first > 1 THEN
            SELECT greatest(p.first_position, kept_from) INTO not_entered
            FROM public.event_partitions AS p
            WHERE NOT p.streams_registered AND p.first_position < part.first
            ORDER BY p.first_position LIMIT 1;
            SELECT n.stream_id, n.version INTO double
            FROM unnest(streams, versions) AS n (stream_id, version)
            WHERE n.version = 1 AND (
                (SELECT s.first_position < part.first FROM public.event_streams AS s
                    WHERE s.stream_id = n.stream_id)
                OR (SELECT true FROM public.event_store AS o
                    WHERE o.stream_id = n.stream_id AND o.event_version = 1
                        AND o.position >= coalesce(not_entered, part.first)
                        AND o.position < part.first LIMIT 1))
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'duplicate key value violates unique constraint "%"',
                        'event_store_stream_id_event_version_key'
                    USING ERRCODE = 'unique_violation',
                        CONSTRAINT = 'event_store_stream_id_event_version_key',
                        DETAIL = format('Key (stream_id, event_version)=(%s, %s) already exists.',
                            double.stream_id, double.version);
            END IF;
        END IF;

        SELECT array_agg(a.stream_id) INTO unsure
        FROM (SELECT v.stream_id, min(v.version) AS version,
                max(v.version) - min(v.version) + 1 <> count(*) AS split
            FROM unnest(streams, versions) AS v (stream_id, version) GROUP BY 1) AS a
        WHERE a.split OR a.version > 1
            AND (SELECT true FROM public.event_store AS o
                WHERE o.stream_id = a.stream_id AND o.event_version = a.version - 1
                    AND o.position >= part.first AND o.position <= part.until LIMIT 1) IS NULL;

        IF part.first > 1 AND unsure IS NOT NULL THEN
            SELECT n.stream_id, n.version INTO double
            FROM (SELECT a.stream_id, a.version
                FROM (SELECT v.stream_id, min(v.version) AS version
                    FROM unnest(streams, versions) AS v (stream_id, version)
                    WHERE v.stream_id = ANY(unsure) GROUP BY 1) AS a
                WHERE (SELECT true FROM public.event_store AS o
                        WHERE o.stream_id = a.stream_id AND o.event_version < a.version
                            AND o.position >= part.first AND o.position <= part.until
                        LIMIT 1) IS NULL
                OFFSET 0) AS n  -- this first: it leaves next to none
            WHERE (SELECT true FROM public.event_store AS o
                    WHERE o.stream_id = n.stream_id AND o.event_version >= n.version
                        AND o.position < part.first AND o.position >= kept_from LIMIT 1)
                OR (SELECT true FROM public.archived_events AS o
                    WHERE o.stream_id = n.stream_id AND o.event_version >= n.version LIMIT 1)
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'duplicate key value violates unique constraint "%"',
                        'event_store_stream_id_event_version_key'
                    USING ERRCODE = 'unique_violation',
                        CONSTRAINT = 'event_store_stream_id_event_version_key',
                        DETAIL = format('Key (stream_id, event_version)=(%s, %s) already exists.',
                            double.stream_id, double.version);
            END IF;
        END IF;

        IF part.first > 1 THEN
            -- `+ 0`: a range of positions looks like little, and the planner would go through a
            -- whole partition for it.
            PERFORM FROM (SELECT n.id FROM unnest(ids) AS n (id) ORDER BY 1 LIMIT 1) AS lowest,
                (SELECT n.id FROM unnest(ids) AS n (id) ORDER BY 1 DESC LIMIT 1) AS highest
            WHERE EXISTS (SELECT FROM public.event_store AS o
                    WHERE o.id BETWEEN lowest.id AND highest.id
                        AND o.position >= kept_from AND o.position + 0 < part.first)
                OR EXISTS (SELECT FROM public.archived_events AS o
                    WHERE o.id BETWEEN lowest.id AND highest.id);
            IF FOUND THEN
                SELECT n.id INTO double FROM unnest(ids) AS n (id)
                    WHERE (SELECT true FROM public.event_store AS o
                            WHERE o.id = n.id
                                AND o.position < part.first AND o.position >= kept_from LIMIT 1)
                        OR (SELECT true FROM public.archived_events AS o WHERE o.id = n.id LIMIT 1)
                    LIMIT 1;
                IF FOUND THEN
                    RAISE EXCEPTION 'duplicate key value violates unique constraint "%"',
                            'event_store_id_key'
                        USING ERRCODE = 'unique_violation', CONSTRAINT = 'event_store_id_key',
                            DETAIL = format('Key (id)=(%s) already exists.', double.id);
                END IF;
            END IF;
        END IF;

        IF unsure IS NOT NULL THEN
            SELECT n.stream_id, n.version INTO double
            FROM (SELECT a.stream_id, a.version, a.split
                FROM (SELECT v.stream_id, min(v.version) AS version,
                        max(v.version) - min(v.version) + 1 <> count(*) AS split
                    FROM unnest(streams, versions, positions) AS v (stream_id, version, position)
                    WHERE v.stream_id = ANY(unsure) AND v.position > coalesce(head, part.after)
                    GROUP BY 1) AS a
                WHERE a.split OR a.version > 1
                    AND (SELECT true FROM public.event_store AS o
                        WHERE o.stream_id = a.stream_id AND o.event_version = a.version - 1
                            AND o.position >= part.first AND o.position <= part.until
                        LIMIT 1) IS NULL
                OFFSET 0) AS n
            WHERE n.split OR (SELECT true FROM public.event_store AS o
                    WHERE o.stream_id = n.stream_id AND o.event_version = n.version - 1
                        AND o.position < part.first AND o.position >= kept_from LIMIT 1) IS NULL
                AND (SELECT true FROM public.archived_events AS o
                    WHERE o.stream_id = n.stream_id AND o.event_version = n.version - 1
                    LIMIT 1) IS NULL
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'versions of stream % would have a gap, at or after version %',
                        double.stream_id, double.version
                    USING ERRCODE = 'integrity_constraint_violation',
                        CONSTRAINT = 'event_store_versions_without_a_gap',
                        HINT = 'Read the stream again: its next version is one more than its last.';
            END IF;
        END IF;

        UPDATE public.event_partitions AS p SET appended_to = last
            WHERE p.first_position = part.first;
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER event_store_is_guarded AFTER INSERT ON public.event_store
    FOR EACH STATEMENT EXECUTE FUNCTION public.guard_appended_events();
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.event_store'::regclass
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER event_store_is_guarded AFTER INSERT ON %s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION public.guard_appended_events()', partition);
    END LOOP;
END;
$$;
