-- What keeps a command service from going on, in its own words: told with its sign of life, so that
-- others can say it.
ALTER TABLE command_workers ADD COLUMN trouble text;

-- What was dropped because its time was over: what, how much of it, up to which time, and when. It is
-- the record of what is not there any more, and is never shortened.
CREATE TABLE retention_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    dropped_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped     text        NOT NULL,
    amount      bigint      NOT NULL,
    older_than  timestamptz,
    dropped_by  text        NOT NULL DEFAULT session_user,
    CONSTRAINT retention_log_pkey PRIMARY KEY (id),
    CONSTRAINT retention_log_amount_positive CHECK (amount > 0)
);

-- Messages that nobody could read are forgotten when they are old, by forget_unreadable_messages alone:
-- the guard lets it, and the journal keeps which they were.
CREATE OR REPLACE FUNCTION public.guard_records() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    longest constant interval := '5 seconds';
    allowed interval := current_setting('idle_in_transaction_session_timeout')::interval;
BEGIN
    IF TG_OP <> 'INSERT' AND (TG_TABLE_NAME, TG_OP) NOT IN
            (('command_inbox', 'DELETE'), ('failed_commands', 'UPDATE'),
                ('unreadable_messages', 'DELETE')) THEN
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

CREATE OR REPLACE FUNCTION public.journal_records() RETURNS trigger
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
        IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM changed AS c
                WHERE c.received_at > clock_timestamp() - interval '1 day') THEN
            RAISE EXCEPTION 'unreadable_messages are kept for at least a day: DELETE refused'
                USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Old ones are forgotten by LEDGER_UNREADABLE_RETENTION_DAYS.';
        END IF;
        INSERT INTO public.record_journal
        SELECT last + 1, TG_TABLE_NAME, CASE TG_OP WHEN 'DELETE' THEN 'FORGOTTEN' ELSE 'KEPT' END,
            array_agg(c.id::text),
            array_agg(public.record_digest(ROW(c.*)::public.unreadable_messages)),
            clock_timestamp(), session_user
        FROM changed AS c HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER unreadable_messages_keeps_what_it_lost
    AFTER DELETE ON public.unreadable_messages REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION public.journal_records();
