CREATE INDEX orders_account_created ON orders (account_id, created_at DESC);
CREATE INDEX orders_user_created ON orders (user_id, created_at DESC);
CREATE INDEX orders_open ON orders (account_id, instrument)
    WHERE status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED');
CREATE INDEX orders_strategy_created ON orders (strategy_id, created_at DESC)
    WHERE strategy_id IS NOT NULL;
CREATE INDEX orders_venue_order ON orders (venue_order_id) WHERE venue_order_id IS NOT NULL;
CREATE INDEX orders_client_order ON orders (account_id, client_order_id)
    WHERE client_order_id IS NOT NULL;
