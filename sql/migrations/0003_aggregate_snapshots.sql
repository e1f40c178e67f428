-- States of long streams, so that loading them does not read their whole past. A cache:
-- any row may be deleted. `topic` names the state's shape, so a new shape ignores old rows.
CREATE TABLE aggregate_snapshots (
    stream_id      uuid        NOT NULL,
    event_version  integer     NOT NULL,
    topic          text        NOT NULL,
    state          jsonb       NOT NULL,
    taken_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT aggregate_snapshots_pkey PRIMARY KEY (stream_id, event_version)
);
