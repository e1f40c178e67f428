-- What keeps others from holding up or standing in for the ledger.
--
-- Held by whoever appends (functions/begin_append.sql). A table and not an advisory lock, because an
-- advisory lock is anybody's who may connect, and a table's lock needs a right on the table: nobody
-- has one. Not event_store itself, so that vacuum is not kept out of it.
CREATE TABLE public.append_lock ();

COMMENT ON TABLE public.append_lock IS 'Empty: its lock is the append lock of event_store.';

-- The SQL of the read models, as the owner of the log installed it. Operators have builds made by
-- functions that run these texts and no others with the owner's rights, so that no operator owns
-- what a user, an auditor or a superuser reads: an owner of a table or view can put code into it.
-- One row for each content: during an update old and new code each find their own.
CREATE TABLE public.read_model_definitions (
    projection_name text        NOT NULL,
    checksum        text        NOT NULL,
    tables          text        NOT NULL,
    indexes         text        NOT NULL,
    access          text        NOT NULL,
    table_names     text[]      NOT NULL,
    public_names    text[]      NOT NULL,
    defined_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT read_model_definitions_pkey PRIMARY KEY (projection_name, checksum),
    CONSTRAINT read_model_definitions_name CHECK (projection_name ~ '^[a-z][a-z_]*$'),
    CONSTRAINT read_model_definitions_public CHECK (public_names <@ table_names)
);

COMMENT ON COLUMN public.read_model_definitions.access IS
    'Row-level security and rights of the tables (projections/engine/rights.py).';

-- Which session works on a projection beside its worker: a rebuild, a rollback or a verification.
-- A row whose session is gone is nobody's.
CREATE TABLE public.projection_builders (
    projection_name text        NOT NULL,
    session_pid     integer     NOT NULL,
    session_start   timestamptz,
    since           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT projection_builders_pkey PRIMARY KEY (projection_name),
    CONSTRAINT projection_builders_projection_name_fkey
        FOREIGN KEY (projection_name) REFERENCES public.event_projections ON DELETE CASCADE
);
