CREATE TABLE orders (
    order_id            uuid        NOT NULL,
    user_id             uuid,
    account_id          uuid        NOT NULL,
    strategy_id         text,
    sub_account         text        NOT NULL,
    venue_order_id      text,
    client_order_id     text,
    instrument          text        NOT NULL,
    side                text        NOT NULL,
    position_side       text,
    order_type          text,
    quantity            numeric,
    quote_quantity      numeric,
    sized_by_quote      boolean     NOT NULL,
    price               numeric,
    stop_price          numeric,
    filled_quantity     numeric     NOT NULL,
    cum_quote           numeric     NOT NULL,
    avg_fill_price      numeric,
    leaves_quantity     numeric,
    cancelled_quantity  numeric     NOT NULL,
    overfill_quantity   numeric     NOT NULL,
    commission          numeric     NOT NULL,
    commission_asset    text,
    other_commissions   jsonb,
    status              text        NOT NULL,
    time_in_force       text,
    reduce_only         boolean     NOT NULL,
    post_only           boolean     NOT NULL,
    iceberg_qty         numeric,
    origin              text        NOT NULL,
    reject_code         text,
    reject_reason       text,
    cancel_reason       text,
    cancel_requested    boolean     NOT NULL,
    replace_requested   boolean     NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    filled_at           timestamptz,
    cancelled_at        timestamptz,
    last_position       bigint      NOT NULL,
    environment         text,
    oco_group           uuid,
    purpose             text,
    trailing_offset     numeric,
    trigger_price_type  text,
    signal_id           text,
    expires_at          timestamptz,
    CONSTRAINT orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT orders_quantities_add_up CHECK
        (quantity = filled_quantity - overfill_quantity + cancelled_quantity + leaves_quantity)
) WITH (fillfactor = 85);  -- room for the next states of an order beside the first

COMMENT ON COLUMN orders.quantity IS
    'In base units; of an order sized by its budget, what it has bought so far; null if the venue'
    ' did not tell it.';
COMMENT ON COLUMN orders.sized_by_quote IS
    'A market buy whose size is its budget, quote_quantity.';
COMMENT ON COLUMN orders.cancelled_quantity IS
    'What will never trade: cancelled, expired, rejected or denied.';
COMMENT ON COLUMN orders.other_commissions IS
    'Commissions in assets beside commission_asset, as {asset: amount}; nearly always null.';
