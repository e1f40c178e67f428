-- What this transaction commits is on disk before anybody is told, whatever the server's default is:
-- off and local become on. An operator who asks for more (remote_write, remote_apply) keeps it, also
-- where the session itself had turned it off, as those that fold do.
CREATE OR REPLACE FUNCTION public.commit_durably() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    asked text := pg_catalog.current_setting('synchronous_commit');
BEGIN
    IF asked OPERATOR(pg_catalog.=) 'off' OR asked OPERATOR(pg_catalog.=) 'local' THEN
        SELECT s.reset_val INTO asked FROM pg_catalog.pg_settings AS s
            WHERE s.name OPERATOR(pg_catalog.=) 'synchronous_commit';
        IF asked OPERATOR(pg_catalog.=) 'off' OR asked OPERATOR(pg_catalog.=) 'local' THEN
            asked := 'on';
        END IF;
        PERFORM pg_catalog.set_config('synchronous_commit', asked, true);
    END IF;
END;
$$;
