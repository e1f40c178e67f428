-- Takes away at most so many messages that nobody could read and that are older than that; returns how
-- many. The record_journal keeps which they were, retention_log that it was done.
--
-- With the rights of its owner, so that the command service can forget old ones and nothing else.
CREATE OR REPLACE FUNCTION public.forget_unreadable_messages(older_than interval, at_most integer)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    until     timestamptz := clock_timestamp() - older_than;
    forgotten integer;
BEGIN
    IF older_than IS NULL OR older_than < interval '1 day' THEN
        RAISE EXCEPTION 'unreadable messages are kept for at least a day, not for %', older_than
            USING ERRCODE = 'check_violation', HINT = 'Set LEDGER_UNREADABLE_RETENTION_DAYS higher.';
    END IF;
    DELETE FROM public.unreadable_messages AS u WHERE u.id IN (
        SELECT o.id FROM public.unreadable_messages AS o WHERE o.received_at < until LIMIT at_most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    IF forgotten > 0 THEN
        INSERT INTO public.retention_log (dropped, amount, older_than)
        VALUES ('unreadable_messages', forgotten, until);
    END IF;
    RETURN forgotten;
END;
$$;
