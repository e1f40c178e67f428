-- Takes away at most so many outcomes that are older than that; returns how many. FAILED ones stay:
-- they are an operator's. Rows that another session is at are left to it.
--
-- With the rights of its owner, so that the command service can forget outcomes and neither change
-- one nor take away a young one.
CREATE OR REPLACE FUNCTION forget_outcomes(older_than interval, at_most integer)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten integer;
BEGIN
    IF older_than IS NULL OR older_than < interval '1 day' THEN
        RAISE EXCEPTION 'outcomes are kept for at least a day, not for %', older_than
            USING ERRCODE = 'check_violation', HINT = 'Set LEDGER_INBOX_RETENTION_DAYS higher.';
    END IF;
    DELETE FROM public.command_inbox AS i WHERE i.command_id IN (
        SELECT o.command_id FROM public.command_inbox AS o
        WHERE o.decided_at < clock_timestamp() - older_than AND o.status <> 'FAILED'
        LIMIT at_most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END;
$$;
