-- Who decides which commands. The stream of commands is divided into partitions by account; each
-- is one worker's at a time, and its commit checks that under a lock (ledger/messaging/leases.py).

-- The workers that live: `until` says for how long without a further sign of life, the session
-- that it ends with its connection (a process that is killed is known to be gone at once).
CREATE TABLE command_workers (
    worker        uuid        NOT NULL,
    until         timestamptz NOT NULL,
    session_pid   integer     NOT NULL,
    session_start timestamptz,
    CONSTRAINT command_workers_pkey PRIMARY KEY (worker)
);

-- `epoch` rises whenever a partition gets another owner: a worker that comes back knows an old one.
CREATE TABLE command_partitions (
    partition integer NOT NULL,
    owner     uuid,
    epoch     bigint  NOT NULL DEFAULT 0,
    CONSTRAINT command_partitions_pkey PRIMARY KEY (partition),
    CONSTRAINT command_partitions_partition_not_negative CHECK (partition >= 0)
);
