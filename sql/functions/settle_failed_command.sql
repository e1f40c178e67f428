-- Settles a command that failed: RETRIED takes its outcome away, so that it can be decided anew
-- under its id; DISMISSED makes FAILED its outcome for ever. Who did it and why is kept.
--
-- With the rights of its owner, so that operators can take away the outcome of a failed command and
-- no other. Every name is qualified, so that nobody's schema can get in between.
CREATE OR REPLACE FUNCTION settle_failed_command(
    command_id uuid, deed text, actor text, reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    failed  public.failed_commands%ROWTYPE;
    outcome text;
BEGIN
    IF deed NOT IN ('RETRIED', 'DISMISSED') THEN
        RAISE EXCEPTION 'a failed command is RETRIED or DISMISSED, not %', quote_nullable(deed)
            USING ERRCODE = 'check_violation';
    END IF;
    IF coalesce(btrim(actor), '') = '' OR coalesce(btrim(reason), '') = '' THEN
        RAISE EXCEPTION 'who settles a failed command and why is kept'
            USING ERRCODE = 'check_violation', HINT = 'Give both.';
    END IF;
    PERFORM public.begin_append(0, '');  -- before any row: see guard_records
    SELECT * INTO failed FROM public.failed_commands AS f
        WHERE f.command_id = settle_failed_command.command_id AND f.status = 'FAILED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'command % does not wait for a decision', command_id
            USING ERRCODE = 'check_violation',
                HINT = 'See: ledgerctl commands failed list --all.';
    END IF;
    IF deed = 'RETRIED' THEN
        DELETE FROM public.command_inbox AS i
            WHERE i.command_id = failed.command_id AND i.status = 'FAILED';
    ELSE
        -- One that could not be recorded has none in the inbox yet.
        INSERT INTO public.command_inbox (command_id, command_type, subject, source, sender,
            fingerprint, status, code, outcome, decided_at)
        VALUES (failed.command_id, failed.command_type, split_part(failed.subject, '.', 1),
            failed.source, nullif(split_part(failed.subject, '.', 3), ''), failed.fingerprint, 'FAILED', failed.code,
            jsonb_build_object('command_id', failed.command_id, 'status', 'FAILED',
                'code', failed.code, 'message', failed.message, 'events', '[]'::jsonb,
                'position', (SELECT coalesce(max(e.position), 0) FROM public.event_store AS e
                    WHERE e.position >= public.log_kept_from()),
                'replayed', false),
            clock_timestamp())
        ON CONFLICT ON CONSTRAINT command_inbox_pkey DO NOTHING;
    END IF;
    SELECT i.status INTO outcome FROM public.command_inbox AS i
        WHERE i.command_id = failed.command_id;
    IF outcome <> 'FAILED' THEN  -- its sender sent it again, and it could be recorded
        RAISE EXCEPTION 'command % has been decided meanwhile: it is %', failed.command_id, outcome
            USING ERRCODE = 'check_violation', HINT = 'Nothing is left to do.';
    END IF;
    UPDATE public.failed_commands AS f
        SET status = deed, settled_at = clock_timestamp(), settled_by = actor,
            login = session_user, reason = settle_failed_command.reason
        WHERE f.id = failed.id;
END;
$$;
