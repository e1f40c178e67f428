CREATE TABLE accounts (
    account_id    uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    exchange      text        NOT NULL,
    account_name  text        NOT NULL,
    account_type  text        NOT NULL,
    environment   text        NOT NULL,
    base_currency text        NOT NULL,
    status        text        NOT NULL,
    status_reason text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_position bigint      NOT NULL,
    cost_basis    text        NOT NULL,
    position_mode text        NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (account_id)
);
