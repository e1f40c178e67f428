CREATE TABLE positions (
    position_id          uuid        NOT NULL,
    account_id           uuid        NOT NULL,
    user_id              uuid,
    sub_account          text        NOT NULL,
    instrument           text        NOT NULL,
    position_side        text        NOT NULL,
    number               integer     NOT NULL,
    side                 text        NOT NULL,
    quantity             numeric     NOT NULL,
    average_entry_price  numeric,
    cost                 numeric     NOT NULL,
    settlement_asset     text        NOT NULL,
    realized_pnl         numeric     NOT NULL,
    commission           numeric     NOT NULL,
    valued_commissions   jsonb       NOT NULL,
    unvalued_commissions jsonb       NOT NULL,
    funding              numeric     NOT NULL,
    net_pnl              numeric     NOT NULL,
    unrealized_pnl       numeric,
    mark_price           numeric,
    mark_kind            text,
    mark_time            timestamptz,
    status               text        NOT NULL,
    opened_at            timestamptz NOT NULL,
    closed_at            timestamptz,
    updated_at           timestamptz NOT NULL,
    last_position        bigint      NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (position_id),
    CONSTRAINT positions_flat_costs_nothing CHECK (quantity <> 0 OR cost = 0),
    CONSTRAINT positions_add_up CHECK (net_pnl = realized_pnl - commission + funding)
) WITH (fillfactor = 50);  -- an open one changes with every price: new versions stay on their page

COMMENT ON COLUMN positions.number IS
    'Of those of the same sub-account, instrument and position side: a new one opens from flat.';
COMMENT ON COLUMN positions.quantity IS 'Signed: below zero is short.';
COMMENT ON COLUMN positions.position_side IS 'BOTH, or the side of an account that hedges.';
COMMENT ON COLUMN positions.cost IS
    'What the open quantity cost, or brought when sold short; fees are in commission.';
COMMENT ON COLUMN positions.commission IS
    'In the settlement asset, with what was paid in others at their price then.';
COMMENT ON COLUMN positions.valued_commissions IS
    'asset -> what commissions in it were worth; they are in commission.';
COMMENT ON COLUMN positions.unvalued_commissions IS
    'asset -> what was paid in it where it had no price; in no sum.';
COMMENT ON COLUMN positions.mark_kind IS
    'MARK, INDEX, LAST, CLOSE as told; TRADE: the position''s own last trade.';

CREATE TABLE round_trips (
    position_id          uuid        NOT NULL,
    account_id           uuid        NOT NULL,
    user_id              uuid,
    sub_account          text        NOT NULL,
    instrument           text        NOT NULL,
    number               integer     NOT NULL,
    side                 text        NOT NULL,
    settlement_asset     text        NOT NULL,
    opened_at            timestamptz NOT NULL,
    closed_at            timestamptz NOT NULL,
    duration_seconds     numeric     NOT NULL,
    largest_quantity     numeric     NOT NULL,
    entry_quantity       numeric     NOT NULL,
    entry_price          numeric,
    exit_price           numeric,
    gross_pnl            numeric     NOT NULL,
    commission           numeric     NOT NULL,
    unvalued_commissions jsonb       NOT NULL,
    funding              numeric     NOT NULL,
    net_pnl              numeric     NOT NULL,
    best_unrealized_pnl  numeric     NOT NULL,
    worst_unrealized_pnl numeric     NOT NULL,
    slippage             numeric,
    close_reason         text,
    signal_id            text,
    updated_at           timestamptz NOT NULL,
    last_position        bigint      NOT NULL,
    CONSTRAINT round_trips_pkey PRIMARY KEY (position_id),
    CONSTRAINT round_trips_add_up CHECK (net_pnl = gross_pnl - commission + funding)
);

COMMENT ON COLUMN round_trips.entry_price IS 'The average of all that was entered.';
COMMENT ON COLUMN round_trips.best_unrealized_pnl IS
    'The most that closing would have made, at marks and own trades while it was open.';

COMMENT ON COLUMN round_trips.slippage IS
    'What was paid more, or got less, than at the prices that its orders named.';
COMMENT ON COLUMN round_trips.close_reason IS
    'Of the last trade that closed some of it: TRADE; LIQUIDATION, ADL, EXPIRY, DELIVERY; or what'
    ' its order was for: STOP_LOSS, TAKE_PROFIT, EXIT.';
COMMENT ON COLUMN round_trips.signal_id IS 'Of the order that opened it.';

CREATE TABLE position_slots (
    account_id    uuid        NOT NULL,
    slot          text        NOT NULL,
    user_id       uuid,
    position      jsonb       NOT NULL,
    opened_at     timestamptz NOT NULL,
    sums          jsonb       NOT NULL,
    traded        jsonb,
    valued        jsonb       NOT NULL,
    unvalued      jsonb       NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT position_slots_pkey PRIMARY KEY (account_id, slot)
) WITH (fillfactor = 50);

CREATE TABLE position_markets (
    instrument  text  NOT NULL,
    base_asset  text,
    quote_asset text,
    told        jsonb NOT NULL,
    kind        text,
    CONSTRAINT position_markets_pkey PRIMARY KEY (instrument)
) WITH (fillfactor = 50);

CREATE TABLE position_holders (
    instrument text  NOT NULL,
    open       jsonb NOT NULL,
    CONSTRAINT position_holders_pkey PRIMARY KEY (instrument)
) WITH (fillfactor = 50);
