-- Before rows of these tables change: is that a change that there is? Then it waits for its turn.
-- Taking the append lock first, before any row, keeps transactions from waiting for each other; and
-- one that hangs with it is ended, as all others wait for it. (Who records outcomes has taken it
-- already, with the head of the log.)
--
-- What may be taken away: outcomes (forget_outcomes, settle_failed_command) and messages that nobody
-- could read (forget_unreadable_messages). The triggers are made in migrations 0017 and 0024.
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
