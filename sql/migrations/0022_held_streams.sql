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
