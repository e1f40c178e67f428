-- Drops the partitions of a time series of a build that are over before a time, and what lies in none
-- from before it; returns how many rows. Where somebody reads them for so long that they cannot be
-- dropped, their rows are taken away: readers go on, and the next cut drops what is left of them. Of the
-- live build retention_log tells.
--
-- With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.cut_series(schema_name text, table_name text, until timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    part    record;
    dropped bigint := 0;
    counted bigint;
BEGIN
    PERFORM public.check_series(schema_name, table_name);
    FOR part IN
        SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(format('%I.%I', schema_name, table_name))
        ORDER BY c.relname
    LOOP
        IF part.bounds <> 'DEFAULT'
            AND substring(part.bounds FROM $re$TO \('([^']+)'\)$re$)::timestamptz > until THEN
            CONTINUE;
        END IF;
        EXECUTE format('SELECT count(*) FROM %I.%I WHERE "time" < $1', schema_name, part.relname)
            INTO counted USING until;
        dropped := dropped + counted;
        IF part.bounds = 'DEFAULT' THEN
            EXECUTE format('DELETE FROM %I.%I WHERE "time" < $1', schema_name, part.relname) USING until;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('DROP TABLE %I.%I', schema_name, part.relname);
        EXCEPTION WHEN lock_not_available THEN
            EXECUTE format('DELETE FROM %I.%I', schema_name, part.relname);
        END;
    END LOOP;
    IF dropped > 0 AND EXISTS (SELECT FROM public.event_projections AS p
            WHERE schema_name = p.projection_name || '_' || p.generation) THEN
        INSERT INTO public.retention_log (dropped, amount, older_than)
        VALUES (table_name, dropped, until);
    END IF;
    RETURN dropped;
END;
$$;
