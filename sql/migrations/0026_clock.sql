-- How far the clock has come with each of its jobs (ledger/clock). A note of where to go on: what was
-- sent has its one effect by the ids of the commands, whatever stands here.
CREATE TABLE clock_jobs (
    job           text        NOT NULL,
    last_due      timestamptz NOT NULL,
    next_due      timestamptz NOT NULL,
    last_run      timestamptz,
    moments       bigint      NOT NULL DEFAULT 0,
    commands      bigint      NOT NULL DEFAULT 0,
    refused       bigint      NOT NULL DEFAULT 0,
    failed        bigint      NOT NULL DEFAULT 0,
    passed_over   bigint      NOT NULL DEFAULT 0,
    outcome       text,
    error         text,
    failing_since timestamptz,
    CONSTRAINT clock_jobs_pkey PRIMARY KEY (job)
);

COMMENT ON COLUMN clock_jobs.last_due IS 'The newest moment that is done with.';
COMMENT ON COLUMN clock_jobs.passed_over IS
    'Moments that nobody was there for, and that were not made up.';
COMMENT ON COLUMN clock_jobs.outcome IS 'Of the commands of the newest moment.';

REVOKE ALL ON public.clock_jobs FROM PUBLIC;
