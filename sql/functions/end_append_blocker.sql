-- Ends a session that holds up appends, if it is one that may be ended (append_blockers.sql) and is
-- still in the transaction that the caller saw. Whether it was ended.
--
-- With the rights of its owner: a superuser's, or with a membership in pg_signal_backend, reach.
CREATE OR REPLACE FUNCTION public.end_append_blocker(
    blocker integer, in_transaction_since timestamptz)
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bool_or(pg_terminate_backend(b.pid)), false)
    FROM public.append_blockers() AS b
    WHERE b.pid = blocker AND b.may_end
        AND b.transaction_start IS NOT DISTINCT FROM in_transaction_since
$$;
