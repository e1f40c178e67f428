CREATE TABLE balances (
    account_id    uuid        NOT NULL,
    user_id       uuid,
    sub_account   text        NOT NULL,
    asset         text        NOT NULL,
    total         numeric     NOT NULL,
    available     numeric     NOT NULL,
    locked        numeric     NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (account_id, sub_account, asset),
    CONSTRAINT balances_add_up CHECK (total = available + locked)
) WITH (fillfactor = 50);  -- few rows, changed all the time: new versions stay on their page

CREATE TABLE contra_balances (
    account_id    uuid        NOT NULL,
    user_id       uuid,
    book          text        NOT NULL,
    asset         text        NOT NULL,
    total         numeric     NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    CONSTRAINT contra_balances_pkey PRIMARY KEY (account_id, book, asset)
) WITH (fillfactor = 50);

COMMENT ON TABLE contra_balances IS
    'The other side of what moved: external, venue:<exchange>, fees:<exchange>, income:<kind>, transit:<transfer>, per account.';
