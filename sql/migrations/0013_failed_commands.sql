-- Commands that failed through a fault of ours and were set aside, each with its whole message, so
-- that an operator can have it decided after all. A row is one failure: a command that is retried
-- and fails again gets another, so that the rows of a command are its history.
CREATE TABLE failed_commands (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    command_id   uuid        NOT NULL,
    command_type text        NOT NULL,
    source       text        NOT NULL,
    subject      text        NOT NULL,
    fingerprint  bytea       NOT NULL,
    body         bytea       NOT NULL,
    code         text        NOT NULL,
    message      text        NOT NULL,
    tries        integer     NOT NULL,
    failed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    status       text        NOT NULL DEFAULT 'FAILED',
    settled_at   timestamptz,
    settled_by   text,
    login        text,
    reason       text,
    CONSTRAINT failed_commands_pkey PRIMARY KEY (id),
    CONSTRAINT failed_commands_status CHECK (status IN ('FAILED', 'RETRIED', 'DISMISSED')),
    CONSTRAINT failed_commands_settled CHECK (
        (status = 'FAILED') = (settled_at IS NULL)
        AND (status = 'FAILED' OR num_nulls(settled_by, login, reason) = 0))
);

-- A message that comes again after a crash is kept once; a retry makes room for a new failure.
CREATE UNIQUE INDEX failed_commands_command ON failed_commands (command_id)
    WHERE status <> 'RETRIED';

COMMENT ON COLUMN failed_commands.subject IS 'The last token of the NATS subject: the account.';
