-- What questions about the past are answered by, beside the three keys of event_store. Each of them
-- costs every append something: docs/decisions/0009-what-audit-indexes-cost.md has the figures, and
-- says why there is none on recorded_at, event_data or user_id.

-- All events of an account in position order: those of its own stream and those that name it.
CREATE INDEX event_store_account ON event_store (
    (CASE WHEN stream_type = 'account' THEN stream_id::text ELSE event_data->>'account_id' END),
    position);

-- Events of one type. The types left out are the daily bread of a ledger: there is always one of
-- them near by, and reading in position order finds it.
CREATE INDEX event_store_uncommon_type ON event_store (event_type, position)
    WHERE event_type <> ALL (ARRAY['order.submitted', 'order.accepted', 'order.filled',
        'order.cancelled', 'account.funds_held', 'account.funds_released',
        'account.trade_settled']);

-- What happened at another time than its place in the log says. Several ranges per block, because one
-- late fill must not make its block fit every question.
CREATE INDEX event_store_occurred ON event_store
    USING brin (position, occurred_at timestamptz_minmax_multi_ops)
    WITH (pages_per_range = 32, autosummarize = on);

-- What belongs together lies together. About 350 events fit into 32 pages.
CREATE INDEX event_store_correlation ON event_store
    USING brin (correlation_id uuid_bloom_ops (n_distinct_per_range = 512, false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX event_store_causation ON event_store
    USING brin (causation_id uuid_bloom_ops (n_distinct_per_range = 512, false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);

-- Commands that a service sent because of an event, for traces that go on from there.
CREATE INDEX event_store_caused_by ON event_store ((metadata->>'caused_by'))
    WHERE metadata ? 'caused_by';
