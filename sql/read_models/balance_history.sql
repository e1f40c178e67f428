-- What all books of an account held after some of its movements: balances at a past moment are
-- the nearest of these and a short stretch of the log.
CREATE TABLE balance_checkpoints (
    account_id         uuid        NOT NULL,
    user_id            uuid,
    position           bigint      NOT NULL,
    event_version      integer     NOT NULL,
    latest_occurred_at timestamptz NOT NULL,
    books              jsonb       NOT NULL,
    CONSTRAINT balance_checkpoints_pkey PRIMARY KEY (account_id, position)
);

COMMENT ON COLUMN balance_checkpoints.latest_occurred_at IS
    'The latest occurred_at among the movements of the account up to this one.';
COMMENT ON COLUMN balance_checkpoints.books IS
    '{book: {asset: [total, locked, position, recorded_at]}}, other sides included.';

-- Movements that happened before one that was recorded earlier.
CREATE TABLE late_movements (
    account_id    uuid        NOT NULL,
    user_id       uuid,
    position      bigint      NOT NULL,
    event_version integer     NOT NULL,
    occurred_at   timestamptz NOT NULL,
    CONSTRAINT late_movements_pkey PRIMARY KEY (account_id, position)
);

-- Where the history of each account is at the checkpoint of the projection.
CREATE TABLE balance_clocks (
    account_id         uuid        NOT NULL,
    movements          bigint      NOT NULL,
    latest_occurred_at timestamptz NOT NULL,
    books              jsonb       NOT NULL,
    CONSTRAINT balance_clocks_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 50);
