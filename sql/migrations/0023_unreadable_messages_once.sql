-- A message that is delivered again, because a worker ended before it was acknowledged, is kept once.
-- The bus tells when it received it, the same each time. Those that are here stay as they are: they
-- are entered in the journal of records, some of them twice.
DO $$
DECLARE
    last bigint := (SELECT coalesce(max(id), 0) FROM public.unreadable_messages);
BEGIN
    EXECUTE format('CREATE UNIQUE INDEX unreadable_messages_once ON public.unreadable_messages '
        '(received_at, subject, sha256(body)) WHERE id > %s', last);
END;
$$;
