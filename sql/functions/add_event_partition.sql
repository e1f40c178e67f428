-- Adds a partition of the log after the last one, with so many positions; returns its first position.
-- Attached and not made in place, because that locks out neither readers nor whoever appends. Under
-- the append lock, and with the rights of whoever calls it: functions of the owner's.
CREATE OR REPLACE FUNCTION public.add_event_partition(positions bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first bigint := (SELECT max(p.last_position) + 1 FROM public.event_partitions AS p);
    name  text := format('event_store_%s', first);
BEGIN
    IF positions < 1000 THEN
        RAISE EXCEPTION 'a partition of the log has at least 1000 positions, not %', positions
            USING ERRCODE = 'check_violation', HINT = 'Set LEDGER_LOG_PARTITION_EVENTS higher.';
    END IF;
    PERFORM public.create_event_partition(name);
    EXECUTE format('ALTER TABLE public.event_store ATTACH PARTITION public.%I'
        ' FOR VALUES FROM (%s) TO (%s)', name, first, first + positions);
    INSERT INTO public.event_partitions VALUES (first, first + positions - 1, NULL);
    RETURN first;
END;
$$;
