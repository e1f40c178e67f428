CREATE TABLE symbols (
    instrument    text        NOT NULL,
    exchange      text        NOT NULL,
    symbol        text        NOT NULL,
    base_asset    text        NOT NULL,
    quote_asset   text        NOT NULL,
    tick_size     numeric     NOT NULL,
    step_size     numeric     NOT NULL,
    min_quantity  numeric     NOT NULL,
    max_quantity  numeric,
    is_active     boolean     NOT NULL,
    listed_at     timestamptz NOT NULL,
    delisted_at   timestamptz,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT symbols_pkey PRIMARY KEY (instrument)
);
