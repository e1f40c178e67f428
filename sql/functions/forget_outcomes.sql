-- Takes away at most so many outcomes that are older than that; returns how many. FAILED ones stay:
-- they are an operator's. The record_journal keeps which they were, retention_log that it was done.
--
-- They are looked for before the append lock is taken: the inbox has no index by time.
--
-- With the rights of its owner, so that the command service can forget outcomes and neither change
-- one nor take away a young one.
CREATE OR REPLACE FUNCTION forget_outcomes(older_than interval, at_most integer)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old       uuid[];
    forgotten integer;
BEGIN
    IF older_than IS NULL OR older_than < interval '1 day' THEN
        RAISE EXCEPTION 'outcomes are kept for at least a day, not for %', older_than
            USING ERRCODE = 'check_violation', HINT = 'Set LEDGER_INBOX_RETENTION_DAYS higher.';
    END IF;
    old := ARRAY(SELECT i.command_id FROM public.command_inbox AS i
        WHERE i.decided_at < clock_timestamp() - older_than AND i.status <> 'FAILED'
        LIMIT at_most);
    IF cardinality(old) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM public.begin_append(0, '');
    DELETE FROM public.command_inbox AS i WHERE i.command_id = ANY(old) AND i.status <> 'FAILED';
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    IF forgotten > 0 THEN
        INSERT INTO public.retention_log (dropped, amount, older_than)
        VALUES ('command_inbox', forgotten, clock_timestamp() - older_than);
    END IF;
    RETURN forgotten;
END;
$$;
