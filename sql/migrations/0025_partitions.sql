-- The log in partitions by position, so that indexes stay small and what is old and sealed can leave
-- this server's disk (ledger/archive).
--
-- A partition is a table event_store_<first position>, made by functions/make_event_partition.sql.
-- PostgreSQL keeps unique over all partitions only what has the position in it. So these keep the rest
-- (functions/guard_appended_events.sql): each partition has its own unique keys on the id and on
-- (stream_id, event_version), and with each append is asked what could be in another partition.
--
-- Nobody appends or reads while this goes on: it takes ACCESS EXCLUSIVE on event_store. The table
-- that is there becomes the first partition as it is; it is read twice, once to see that its
-- positions are within its bounds and once for the streams in it. Some seconds per million events.

-- What partitions there are: first_position to last_position of the log.
--
-- appended_to  The last position that was appended; NULL when nothing was yet.
CREATE TABLE public.event_partitions (
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    appended_to    bigint,
    CONSTRAINT event_partitions_pkey PRIMARY KEY (first_position),
    CONSTRAINT event_partitions_positions CHECK
        (first_position >= 1 AND appended_to BETWEEN first_position AND last_position)
) WITH (fillfactor = 10);  -- a row is updated by each append, in its page

-- Which streams there are: one row for each that ever began, so that none begins twice.
CREATE TABLE public.event_streams (
    stream_id      uuid   NOT NULL,
    first_position bigint NOT NULL,
    CONSTRAINT event_streams_pkey PRIMARY KEY (stream_id)
);

-- Which partitions were archived: their events are in files, which the log has as foreign tables, always
-- its first ones (ledger/archive).
--
-- directory    Where the files are, as the server sees it.
-- manifest     SHA-256 of the manifest there, which has that of the Parquet file, and its seals.
-- restored_at  When the events were taken in again.
CREATE TABLE public.event_archives (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    directory      text        NOT NULL,
    manifest       bytea       NOT NULL,
    archived_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    archived_by    text        NOT NULL,
    restored_at    timestamptz,
    restored_by    text,
    CONSTRAINT event_archives_pkey PRIMARY KEY (id),
    CONSTRAINT event_archives_positions CHECK (first_position BETWEEN 1 AND last_position),
    CONSTRAINT event_archives_manifest CHECK (length(manifest) = 32),
    CONSTRAINT event_archives_restored CHECK ((restored_at IS NULL) = (restored_by IS NULL))
);
CREATE UNIQUE INDEX event_archives_first_position ON public.event_archives (first_position)
    WHERE restored_at IS NULL;

-- They are entered in the journal of the records, so seals stand for them as well.
ALTER TABLE public.record_journal
    DROP CONSTRAINT record_journal_change,
    ADD CONSTRAINT record_journal_change CHECK
        (change IN ('FOUND', 'RECORDED', 'FAILED', 'RETRIED', 'FORGOTTEN', 'KEPT',
            'SETTLED', 'ARCHIVED', 'RESTORED'));

CREATE FUNCTION public.record_digest(entry public.event_archives) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array('event_archives/1',
    (entry).id, (entry).first_position, (entry).last_position, (entry).directory,
    pg_catalog.encode((entry).manifest, 'hex'), extract(epoch FROM (entry).archived_at)::text,
    (entry).archived_by, extract(epoch FROM (entry).restored_at)::text,
    (entry).restored_by)::text, 'UTF8'));

CREATE FUNCTION public.refuse_change_of_event_archives() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'event_archives is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'An archive is taken in again by: ledgerctl archive restore.';
END;
$$;

-- As journal_records does it for other tables, and under the append lock like it.
CREATE FUNCTION public.journal_archives() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.begin_append(0, '');
    INSERT INTO public.record_journal
    SELECT (SELECT coalesce(max(j.number), 0) FROM public.record_journal AS j) + 1, TG_TABLE_NAME,
        CASE TG_OP WHEN 'INSERT' THEN 'ARCHIVED' ELSE 'RESTORED' END, array_agg(c.id::text),
        array_agg(public.record_digest(ROW(c.*)::public.event_archives)), clock_timestamp(),
        session_user
    FROM changed AS c HAVING count(*) > 0;
    RETURN NULL;
END;
$$;
REVOKE ALL ON FUNCTION public.record_digest(public.event_archives), public.journal_archives()
    FROM PUBLIC;

CREATE TRIGGER event_archives_is_append_only
    BEFORE DELETE OR TRUNCATE ON public.event_archives
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change_of_event_archives();
CREATE TRIGGER event_archives_is_journaled
    AFTER INSERT ON public.event_archives REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_archives();
CREATE TRIGGER event_archives_journals_deeds
    AFTER UPDATE ON public.event_archives REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_archives();

-- The keys of archived events, so that they stay unique, and a stream is found without opening a file.
CREATE TABLE public.archived_events (
    position      bigint  NOT NULL,
    id            uuid    NOT NULL,
    stream_id     uuid    NOT NULL,
    event_version integer NOT NULL,
    CONSTRAINT archived_events_pkey PRIMARY KEY (position),
    CONSTRAINT archived_events_id_key UNIQUE (id),
    CONSTRAINT archived_events_stream_id_event_version_key UNIQUE (stream_id, event_version)
);

REVOKE ALL ON public.event_partitions, public.event_streams, public.event_archives,
    public.archived_events FROM PUBLIC;

LOCK TABLE public.append_lock IN EXCLUSIVE MODE;
LOCK TABLE public.event_store IN ACCESS EXCLUSIVE MODE;

ALTER TABLE public.event_store RENAME TO event_store_1;
ALTER TABLE public.event_store_1 RENAME CONSTRAINT event_store_pkey TO event_store_1_pkey;
ALTER TABLE public.event_store_1 RENAME CONSTRAINT event_store_id_key TO event_store_1_id_key;
ALTER TABLE public.event_store_1 RENAME CONSTRAINT event_store_stream_id_event_version_key
    TO event_store_1_stream_id_event_version_key;
ALTER INDEX public.event_store_account RENAME TO event_store_1_account;
ALTER INDEX public.event_store_uncommon_type RENAME TO event_store_1_uncommon_type;
ALTER INDEX public.event_store_occurred RENAME TO event_store_1_occurred;
ALTER INDEX public.event_store_correlation RENAME TO event_store_1_correlation;
ALTER INDEX public.event_store_causation RENAME TO event_store_1_causation;
ALTER INDEX public.event_store_caused_by RENAME TO event_store_1_caused_by;

-- Without a primary key of its own, as a file has none (an archived partition is a foreign table): each
-- partition has one, and no position is in two.
CREATE TABLE public.event_store (LIKE public.event_store_1 INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (position);
COMMENT ON TABLE public.event_store IS
    'Append-only log of all events; everything else is rebuilt from it.';

-- As in 0008: an index of the whole log is one of each partition, made with it.
CREATE INDEX event_store_account ON public.event_store (
    (CASE WHEN stream_type = 'account' THEN stream_id::text ELSE event_data->>'account_id' END),
    position);
CREATE INDEX event_store_uncommon_type ON public.event_store (event_type, position)
    WHERE event_type <> ALL (ARRAY['order.submitted', 'order.accepted', 'order.filled',
        'order.cancelled', 'account.funds_held', 'account.funds_released',
        'account.trade_settled']);
CREATE INDEX event_store_occurred ON public.event_store
    USING brin (position, occurred_at timestamptz_minmax_multi_ops)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX event_store_correlation ON public.event_store
    USING brin (correlation_id uuid_bloom_ops (n_distinct_per_range = 512, false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX event_store_causation ON public.event_store
    USING brin (causation_id uuid_bloom_ops (n_distinct_per_range = 512, false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX event_store_caused_by ON public.event_store ((metadata->>'caused_by'))
    WHERE metadata ? 'caused_by';

-- Up to the next full million. From the lowest there is, so that PostgreSQL need not look whether
-- anything is below 1, which the table refuses anyway.
DO $$
DECLARE
    head bigint := coalesce((SELECT max(position) FROM public.event_store_1), 0);
    size constant bigint := 1000000;
    last bigint := greatest((head + size - 1) / size, 1) * size;
BEGIN
    EXECUTE format('ALTER TABLE public.event_store ATTACH PARTITION public.event_store_1'
        ' FOR VALUES FROM (MINVALUE) TO (%s)', last + 1);
    INSERT INTO public.event_partitions VALUES (1, last, nullif(head, 0));
END;
$$;
INSERT INTO public.event_streams
SELECT stream_id, position FROM public.event_store_1 WHERE event_version = 1;

CREATE TRIGGER event_store_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.event_store
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change_of_event_store();

REVOKE ALL ON public.event_store, public.event_store_1 FROM PUBLIC;
