CREATE TABLE order_fills (
    order_id          uuid        NOT NULL,
    trade_id          text        NOT NULL,
    user_id           uuid,
    account_id        uuid        NOT NULL,
    strategy_id       text,
    sub_account       text        NOT NULL,
    instrument        text        NOT NULL,
    side              text        NOT NULL,
    quantity          numeric     NOT NULL,
    price             numeric     NOT NULL,
    commission        numeric     NOT NULL,
    commission_asset  text,
    is_maker          boolean,
    late              boolean     NOT NULL,
    voided            boolean     NOT NULL,
    voided_at         timestamptz,
    conflicted        boolean     NOT NULL,
    fill_timestamp    timestamptz NOT NULL,
    created_at        timestamptz NOT NULL,
    event_id          uuid        NOT NULL,
    position          bigint      NOT NULL,
    last_position     bigint      NOT NULL,
    revision          integer     NOT NULL,
    other_commissions jsonb,
    quote_quantity    numeric,
    execution_kind    text        NOT NULL,
    environment       text,
    venue_order_id    text,
    contradicts       text,
    settled_in_main   boolean     NOT NULL,
    CONSTRAINT order_fills_pkey PRIMARY KEY (order_id, trade_id, revision)
);

COMMENT ON COLUMN order_fills.revision IS
    'Counts what was booked under the trade id: a voided trade may be told anew.';
COMMENT ON COLUMN order_fills.quote_quantity IS
    'What the venue moved, where it told that; else quantity * price.';
COMMENT ON COLUMN order_fills.contradicts IS
    'What the venue told otherwise than the order says: side, instrument.';
COMMENT ON COLUMN order_fills.settled_in_main IS
    'The strategy that the order names had no part in it.';
COMMENT ON COLUMN order_fills.conflicted IS
    'The venue used this trade id again with other content; no money moved by that.';
