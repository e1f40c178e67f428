-- Wakes whoever listens on a channel, if there is room for it: nobody waits for a notification, as
-- all look by themselves now and then, so none may fail the transaction that it is told in. The queue
-- is the server's, one for all databases; whoever listens and stops in the middle of a transaction
-- fills it. Asking how full it is also lets go of what nobody waits for any more.
CREATE OR REPLACE FUNCTION public.wake(channel text, payload text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify(channel, payload);
    END IF;
END;
$$;
