-- Where somebody cut off the end of the log, past all triggers, what is kept about it is beyond its
-- head: streams that began there would be refused if they began anew. With the rights of whoever calls
-- it: begin_append, under the append lock. (That it was cut off is for seals to say.)
CREATE OR REPLACE FUNCTION public.forget_cut_off_streams(head bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM public.event_streams AS s WHERE s.first_position > head;
    UPDATE public.event_partitions AS p
        SET appended_to = CASE WHEN p.first_position <= head THEN head END, streams_registered = false
        WHERE p.appended_to > head;
END;
$$;
