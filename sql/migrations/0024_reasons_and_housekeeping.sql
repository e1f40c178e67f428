-- What keeps a command service from going on, in its own words: told with its sign of life, so that
-- others can say it.
ALTER TABLE command_workers ADD COLUMN trouble text;

-- What was dropped because its time was over: what, how much of it, up to which time, and when. It is
-- the record of what is not there any more, and is never shortened.
CREATE TABLE retention_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    dropped_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped     text        NOT NULL,
    amount      bigint      NOT NULL,
    older_than  timestamptz,
    dropped_by  text        NOT NULL DEFAULT session_user,
    CONSTRAINT retention_log_pkey PRIMARY KEY (id),
    CONSTRAINT retention_log_amount_positive CHECK (amount > 0)
);
