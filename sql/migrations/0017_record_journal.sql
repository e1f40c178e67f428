-- What is kept beside the log and nowhere else (outcomes, commands that failed, messages that could
-- not be read) is entered here as it is written: the digest of each row, under the append lock, in
-- the transaction of the row. The seals of the log stand for these entries too, so whoever changes,
-- adds or takes away a row, its triggers disabled or not, is found out (ledger/audit/records.py).
--
-- number   1, 2, 3 … without a gap, in the order of the commits. One entry for each statement that
--          wrote such rows, so one for each batch of commands.
-- change   FOUND      it was there when the journal began
--          RECORDED   an outcome was recorded that is never replaced
--          FAILED     an outcome was recorded that says that the ledger could not decide
--          RETRIED    a FAILED outcome was taken away, so that the command can be decided anew
--          FORGOTTEN  outcomes were taken away because they were old enough
--          KEPT       a command that failed, or a message that could not be read, was set aside
--          SETTLED    an operator said what becomes of a command that failed
-- keys, digests   The key of each row and the SHA-256 of its content: after the change, or, where
--          rows were taken away, before it.
CREATE TABLE public.record_journal (
    number      bigint      NOT NULL,
    table_name  text        NOT NULL,
    change      text        NOT NULL,
    keys        text[]      NOT NULL,
    digests     bytea[]     NOT NULL,
    recorded_at timestamptz NOT NULL,
    login       text        NOT NULL,
    CONSTRAINT record_journal_pkey PRIMARY KEY (number),
    CONSTRAINT record_journal_number_positive CHECK (number > 0),
    CONSTRAINT record_journal_change CHECK
        (change IN ('FOUND', 'RECORDED', 'FAILED', 'RETRIED', 'FORGOTTEN', 'KEPT',
            'SETTLED')),
    CONSTRAINT record_journal_digest_for_each_key CHECK
        (cardinality(keys) > 0 AND cardinality(digests) = cardinality(keys))
);

COMMENT ON TABLE public.record_journal IS
    'Append-only: digests of all rows beside the log, entered as they were written, and sealed.';

-- Hashes do not compress.
ALTER TABLE public.record_journal ALTER COLUMN digests SET STORAGE EXTERNAL;

-- The content of a row, in a text that no setting of a session changes. Every column is in it;
-- jsonb as PostgreSQL prints it, times as seconds since 1970.
CREATE FUNCTION public.record_digest(entry public.command_inbox) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array('command_inbox/1',
    (entry).command_id, (entry).command_type, (entry).subject, (entry).source, (entry).sender,
    (entry).user_id, pg_catalog.encode((entry).fingerprint, 'hex'), (entry).status, (entry).code,
    (entry).outcome::text, extract(epoch FROM (entry).decided_at)::text)::text, 'UTF8'));

CREATE FUNCTION public.record_digest(entry public.failed_commands) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array('failed_commands/1',
    (entry).id, (entry).command_id, (entry).command_type, (entry).source, (entry).subject,
    pg_catalog.encode((entry).fingerprint, 'hex'), pg_catalog.encode((entry).body, 'hex'),
    (entry).code, (entry).message, (entry).tries, extract(epoch FROM (entry).failed_at)::text,
    (entry).status, extract(epoch FROM (entry).settled_at)::text, (entry).settled_by,
    (entry).login, (entry).reason)::text, 'UTF8'));

CREATE FUNCTION public.record_digest(entry public.unreadable_messages) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array('unreadable_messages/1',
    (entry).id, extract(epoch FROM (entry).received_at)::text, (entry).subject, (entry).reason,
    pg_catalog.encode((entry).body, 'hex'), (entry).body_bytes)::text, 'UTF8'));

REVOKE ALL ON FUNCTION public.record_digest(public.command_inbox),
    public.record_digest(public.failed_commands),
    public.record_digest(public.unreadable_messages) FROM PUBLIC;

-- Before rows of these tables change: is that a change that there is? Then it waits for its turn.
-- Taking the append lock first, before any row, keeps transactions from waiting for each other; and
-- one that hangs with it is ended, as all others wait for it. (Who records outcomes has taken it
-- already, with the head of the log.)
CREATE FUNCTION public.guard_records() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    longest constant interval := '5 seconds';
    allowed interval := current_setting('idle_in_transaction_session_timeout')::interval;
BEGIN
    IF TG_OP <> 'INSERT' AND (TG_TABLE_NAME, TG_OP) NOT IN
            (('command_inbox', 'DELETE'), ('failed_commands', 'UPDATE')) THEN
        RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'What was recorded stays. Operators settle: ledgerctl commands failed.';
    END IF;
    IF allowed = interval '0' OR allowed > longest THEN
        PERFORM set_config('idle_in_transaction_session_timeout',
            extract(epoch FROM longest)::text || 's', true);
    END IF;
    PERFORM public.begin_append(0, '');
    RETURN NULL;
END;
$$;

-- After rows of these tables changed, under the append lock (without it, the number may be taken and
-- the statement refused): enters them. Only the owner of the journal can write it, so it
-- is done with the owner's rights, and only as what it is.
CREATE FUNCTION public.journal_records() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last    bigint;
    entered integer;
BEGIN
    SELECT j.number INTO last FROM public.record_journal AS j ORDER BY j.number DESC LIMIT 1;
    last := coalesce(last, 0);
    IF TG_TABLE_NAME = 'command_inbox' AND TG_OP = 'INSERT' THEN
        INSERT INTO public.record_journal
        SELECT last + 1, TG_TABLE_NAME, 'RECORDED', array_agg(c.command_id::text),
            array_agg(public.record_digest(ROW(c.*)::public.command_inbox)),
            clock_timestamp(), session_user
        FROM changed AS c WHERE c.status <> 'FAILED' HAVING count(*) > 0;
        GET DIAGNOSTICS entered = ROW_COUNT;
        IF EXISTS (SELECT FROM changed AS c WHERE c.status = 'FAILED') THEN
            INSERT INTO public.record_journal
            SELECT last + entered + 1, TG_TABLE_NAME, 'FAILED', array_agg(c.command_id::text),
                array_agg(public.record_digest(ROW(c.*)::public.command_inbox)),
                clock_timestamp(), session_user
            FROM changed AS c WHERE c.status = 'FAILED';
        END IF;
    ELSIF TG_TABLE_NAME = 'command_inbox' THEN
        IF EXISTS (SELECT FROM changed AS c WHERE c.status <> 'FAILED'
                AND c.decided_at > clock_timestamp() - interval '1 day') THEN
            RAISE EXCEPTION 'command_inbox keeps outcomes for at least a day: DELETE refused'
                USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Old ones are forgotten by LEDGER_INBOX_RETENTION_DAYS.';
        END IF;
        INSERT INTO public.record_journal
        SELECT last + row_number() OVER (ORDER BY entry.change DESC), TG_TABLE_NAME, entry.*,
            clock_timestamp(), session_user
        FROM (SELECT CASE c.status WHEN 'FAILED' THEN 'RETRIED' ELSE 'FORGOTTEN' END AS change,
                array_agg(c.command_id::text),
                array_agg(public.record_digest(ROW(c.*)::public.command_inbox))
            FROM changed AS c GROUP BY 1) AS entry;
    ELSIF TG_TABLE_NAME = 'failed_commands' THEN
        INSERT INTO public.record_journal
        SELECT last + 1, TG_TABLE_NAME, CASE TG_OP WHEN 'INSERT' THEN 'KEPT' ELSE 'SETTLED' END,
            array_agg(c.id::text),
            array_agg(public.record_digest(ROW(c.*)::public.failed_commands)),
            clock_timestamp(), session_user
        FROM changed AS c HAVING count(*) > 0;
    ELSE
        INSERT INTO public.record_journal
        SELECT last + 1, TG_TABLE_NAME, 'KEPT', array_agg(c.id::text),
            array_agg(public.record_digest(ROW(c.*)::public.unreadable_messages)),
            clock_timestamp(), session_user
        FROM changed AS c HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION public.guard_records(), public.journal_records() FROM PUBLIC;

CREATE TRIGGER command_inbox_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.command_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION public.guard_records();
CREATE TRIGGER command_inbox_is_journaled
    AFTER INSERT ON public.command_inbox REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();
CREATE TRIGGER command_inbox_keeps_what_it_lost
    AFTER DELETE ON public.command_inbox REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();

CREATE TRIGGER failed_commands_is_append_only
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.failed_commands
    FOR EACH STATEMENT EXECUTE FUNCTION public.guard_records();
CREATE TRIGGER failed_commands_is_journaled
    AFTER INSERT ON public.failed_commands REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();
CREATE TRIGGER failed_commands_journals_deeds
    AFTER UPDATE ON public.failed_commands REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();

CREATE TRIGGER unreadable_messages_is_append_only
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.unreadable_messages
    FOR EACH STATEMENT EXECUTE FUNCTION public.guard_records();
CREATE TRIGGER unreadable_messages_is_journaled
    AFTER INSERT ON public.unreadable_messages REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();

CREATE FUNCTION public.refuse_change_of_record_journal() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'record_journal is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'An entry that is wrong is evidence: run ledgerctl audit verify.';
END;
$$;

CREATE TRIGGER record_journal_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.record_journal
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change_of_record_journal();

REVOKE ALL ON public.record_journal FROM PUBLIC;

-- What is there already is entered as it is: nothing can be said of how it was before.
INSERT INTO public.record_journal
SELECT row_number() OVER (ORDER BY found.table_name, found.part), found.table_name, 'FOUND',
    found.keys, found.digests, clock_timestamp(), session_user
FROM (
    SELECT table_name, part, array_agg(key) AS keys, array_agg(digest) AS digests
    FROM (
        SELECT 'command_inbox' AS table_name, i.command_id::text AS key,
            public.record_digest(i) AS digest, row_number() OVER () / 1000 AS part
        FROM public.command_inbox AS i
        UNION ALL
        SELECT 'failed_commands', f.id::text, public.record_digest(f), row_number() OVER () / 1000
        FROM public.failed_commands AS f
        UNION ALL
        SELECT 'unreadable_messages', u.id::text, public.record_digest(u),
            row_number() OVER () / 1000
        FROM public.unreadable_messages AS u) AS rows
    GROUP BY table_name, part) AS found;

-- A seal stands for the entries of the journal too: journal_last is the last that was there,
-- journal_root the Merkle root over those since the seal before. A seal of rejections alone has no
-- events: its block lies between two others, last_position = first_position - 1.
ALTER TABLE public.event_seals
    ADD COLUMN journal_last bigint,
    ADD COLUMN journal_root bytea,
    DROP CONSTRAINT event_seals_positions,
    DROP CONSTRAINT event_seals_last_position_key,
    ADD CONSTRAINT event_seals_positions CHECK
        (first_position >= 1 AND first_position <= last_position + (journal_root IS NOT NULL)::int),
    ADD CONSTRAINT event_seals_journal CHECK
        ((journal_last IS NULL) = (journal_root IS NULL)
            AND journal_last >= 0 AND length(journal_root) = 32);

CREATE INDEX event_seals_last_position_number_idx ON public.event_seals (last_position, number);
