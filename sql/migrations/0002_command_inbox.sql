-- One row for each command id ever decided, written in the transaction of its events:
-- a command has one outcome for ever.
CREATE TABLE command_inbox (
    command_id   uuid        NOT NULL,
    command_type text        NOT NULL,
    subject      text        NOT NULL,
    source       text        NOT NULL,
    user_id      uuid,
    fingerprint  bytea       NOT NULL,
    status       text        NOT NULL,
    code         text,
    outcome      jsonb       NOT NULL,
    decided_at   timestamptz NOT NULL,
    CONSTRAINT command_inbox_pkey PRIMARY KEY (command_id),
    CONSTRAINT command_inbox_status CHECK (status IN ('ACCEPTED', 'REJECTED', 'FAILED'))
);

COMMENT ON COLUMN command_inbox.fingerprint IS
    'SHA-256 of type, subject and data: tells a resend from a re-used id.';

-- What could be neither decided nor answered, kept with the reason for a person to look at.
CREATE TABLE unreadable_messages (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject     text        NOT NULL,
    reason      text        NOT NULL,
    body        bytea       NOT NULL,
    body_bytes  integer     NOT NULL,
    CONSTRAINT unreadable_messages_pkey PRIMARY KEY (id)
);

COMMENT ON COLUMN unreadable_messages.body IS 'The beginning of the message; body_bytes is its whole size.';
