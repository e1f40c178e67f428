CREATE TABLE user_strategy_assignments (
    account_id         uuid        NOT NULL,
    strategy_id        text        NOT NULL,
    user_id            uuid,
    allocation_percent numeric     NOT NULL,
    risk_multiplier    numeric     NOT NULL,
    is_active          boolean     NOT NULL,
    auto_rebalance     boolean     NOT NULL,
    assigned_at        timestamptz NOT NULL,
    deactivated_at     timestamptz,
    last_rebalanced_at timestamptz,
    updated_at         timestamptz NOT NULL,
    last_position      bigint      NOT NULL,
    CONSTRAINT user_strategy_assignments_pkey PRIMARY KEY (account_id, strategy_id),
    CONSTRAINT user_strategy_assignments_deactivated CHECK (is_active = (deactivated_at IS NULL))
);

-- The same, one row per account: a rebalance touches all active assignments of an account.
CREATE TABLE account_assignments (
    account_id  uuid  NOT NULL,
    assignments jsonb NOT NULL,
    CONSTRAINT account_assignments_pkey PRIMARY KEY (account_id)
);
