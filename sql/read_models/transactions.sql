CREATE TABLE transactions (
    position        bigint      NOT NULL,
    line            integer     NOT NULL,
    event_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    user_id         uuid,
    sub_account     text        NOT NULL,
    asset           text        NOT NULL,
    direction       text        NOT NULL,
    reason          text        NOT NULL,
    amount          numeric     NOT NULL,
    closing_balance numeric     NOT NULL,
    price           numeric,
    quote_asset     text,
    order_id        uuid,
    trade_id        text,
    reference       text,
    "timestamp"     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    CONSTRAINT transactions_pkey PRIMARY KEY (position, line),
    CONSTRAINT transactions_amount_positive CHECK (amount > 0)
);

COMMENT ON COLUMN transactions.sub_account IS
    'The book: a sub-account, or the other side: external, venue:<exchange>, fees:<exchange>, income:<kind>, transit:<transfer>.';
COMMENT ON COLUMN transactions.closing_balance IS 'What the book holds after this posting.';
COMMENT ON COLUMN transactions.reference IS
    'Of a deposit or withdrawal its reference or transfer, of a cash flow its id, of an adjustment the reason that was given.';

-- What each book holds at the checkpoint, for the next closing balance.
CREATE TABLE transaction_books (
    account_id uuid    NOT NULL,
    book       text    NOT NULL,
    asset      text    NOT NULL,
    total      numeric NOT NULL,
    CONSTRAINT transaction_books_pkey PRIMARY KEY (account_id, book, asset)
) WITH (fillfactor = 50);
