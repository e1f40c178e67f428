-- Streams that the command service could not read when a command needed them: what is wrong, and how
-- many commands were set aside because of it. A note for people, not part of the truth: it is made
-- with the outcome of such a command, and taken away when the stream can be read again.
CREATE TABLE public.held_streams (
    stream_id       uuid        NOT NULL,
    stream_type     text,
    event_version   integer,
    position        bigint,
    reason          text        NOT NULL,
    commands        bigint      NOT NULL,
    held_since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_command_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT held_streams_pkey PRIMARY KEY (stream_id)
);

COMMENT ON COLUMN public.held_streams.event_version IS
    'The event at which reading stops; null where the database itself cannot say.';

REVOKE ALL ON public.held_streams FROM PUBLIC;

-- Versions of a stream have no gaps: what would leave one is refused, whoever appends. One look-up in
-- the key of the stream for each event that is appended, by one query for all of them; a plan made
-- while the log was short must not read all of it when it is long.
CREATE FUNCTION public.refuse_gap_in_stream() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    stray record;
BEGIN
    SELECT a.stream_id, a.event_version INTO stray FROM appended AS a
        WHERE a.event_version > 1 AND (
            SELECT e.position FROM public.event_store AS e
            WHERE e.stream_id = a.stream_id AND e.event_version = a.event_version - 1) IS NULL
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'version % of stream % does not follow the one before it',
                stray.event_version, stray.stream_id
            USING ERRCODE = 'integrity_constraint_violation',
                CONSTRAINT = 'event_store_versions_without_a_gap',
                HINT = 'Read the stream again: its next version is one more than its last.';
    END IF;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION public.refuse_gap_in_stream() FROM PUBLIC;

CREATE TRIGGER event_store_has_no_gap_in_a_stream
    AFTER INSERT ON public.event_store REFERENCING NEW TABLE AS appended
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_gap_in_stream();
