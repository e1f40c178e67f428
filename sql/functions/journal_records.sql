-- After rows of these tables changed, under the append lock (without it, the number may be taken and
-- the statement refused): enters them. Only the owner of the journal can write it, so it is done with
-- the owner's rights, and only as what it is. What is younger than a day is not taken away.
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
