CREATE TABLE transfers (
    transfer_id      text        NOT NULL,
    asset            text        NOT NULL,
    account_id       uuid        NOT NULL,
    direction        text        NOT NULL,
    user_id          uuid,
    other_account_id uuid,
    status           text        NOT NULL,
    sent             numeric     NOT NULL,
    received         numeric     NOT NULL,
    difference       numeric     NOT NULL,
    begun_at         timestamptz NOT NULL,
    sent_at          timestamptz,
    arrived_at       timestamptz,
    updated_at       timestamptz NOT NULL,
    last_position    bigint      NOT NULL,
    CONSTRAINT transfers_pkey PRIMARY KEY (transfer_id, asset, account_id, direction),
    CONSTRAINT transfers_add_up CHECK (difference = sent - received)
);

COMMENT ON COLUMN transfers.difference IS
    'Sent and not received: what the book transit:<transfer> of both accounts still holds.';

-- What both sides have told.
CREATE TABLE whole_transfers (
    transfer_id text        NOT NULL,
    asset       text        NOT NULL,
    sent        numeric     NOT NULL,
    received    numeric     NOT NULL,
    sent_at     timestamptz,
    arrived_at  timestamptz,
    sides       jsonb       NOT NULL,
    CONSTRAINT whole_transfers_pkey PRIMARY KEY (transfer_id, asset)
);
