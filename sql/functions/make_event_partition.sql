-- Makes the next partition of the log beforehand, when half of the last one is full; returns its first
-- position, or NULL if it is not time. The service of commands calls it (ledger/programs/
-- housekeeping.py) with how many positions one is to have. With the rights of its owner, as a partition
-- is made of nothing else that the caller says.
CREATE OR REPLACE FUNCTION public.make_event_partition(positions bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.begin_append(0, '');
    IF EXISTS (SELECT FROM public.event_partitions AS p
            WHERE p.appended_to - p.first_position >= (p.last_position - p.first_position) / 2
                AND NOT EXISTS (SELECT FROM public.event_partitions AS later
                    WHERE later.first_position > p.first_position)) THEN
        RETURN public.add_event_partition(positions);
    END IF;
    RETURN NULL;
END;
$$;
