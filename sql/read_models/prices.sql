CREATE TABLE prices (
    instrument    text        NOT NULL,
    kind          text        NOT NULL,
    source        text        NOT NULL,
    price         numeric     NOT NULL,
    "time"        timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT prices_pkey PRIMARY KEY (instrument, kind, source)
) WITH (fillfactor = 50);  -- few rows, changed all the time: new versions stay on their page

COMMENT ON COLUMN prices."time" IS 'Of the price, as its source says.';

CREATE TABLE price_history (
    instrument  text        NOT NULL,
    "time"      timestamptz NOT NULL,
    kind        text        NOT NULL,
    source      text        NOT NULL,
    position    bigint      NOT NULL,
    price       numeric     NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT price_history_pkey PRIMARY KEY (instrument, "time", kind, source, position)
);
