-- Drops the parts of a time series of a build, partitions or chunks, that are over before a time, and
-- what lies in none from before it; returns how many rows. Where somebody reads them for so long that they
-- cannot be dropped, their rows are taken away: readers go on, and the next cut drops what is left of them.
-- (One that TimescaleDB is compressing just now takes no change: that is waited for, seconds or minutes,
-- once in the life of a month.) Of the live build retention_log tells.
--
-- With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.cut_series(schema_name text, table_name text, until timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    one     record;
    dropped bigint := 0;
    counted bigint;
BEGIN
    PERFORM public.check_series(schema_name, table_name);
    FOR one IN
        SELECT p.part, p.until FROM public.series_parts(schema_name, table_name) AS p
        WHERE p.until IS NULL OR p.until <= cut_series.until ORDER BY p.part::text
    LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE "time" < $1', one.part) INTO counted USING until;
        dropped := dropped + counted;
        IF one.until IS NULL THEN
            EXECUTE format('DELETE FROM %s WHERE "time" < $1', one.part) USING until;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('DROP TABLE %s', one.part);
        EXCEPTION WHEN lock_not_available THEN
            PERFORM set_config('lock_timeout', '0', true);
            PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
            EXECUTE format('DELETE FROM %s', one.part);
            PERFORM set_config('lock_timeout', '1s', true);
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
