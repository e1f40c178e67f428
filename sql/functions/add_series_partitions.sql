-- Makes the partitions, a month each, that rows of a time series of a build need from one time to
-- another, and one for what has none: they are made by whoever writes the rows, some months ahead
-- (projections/engine/live/writer.py). Attached and not made in place, so that readers go on. Of a
-- hypertable they are chunks; what has none finds a day's there, which TimescaleDB makes.
--
-- Where somebody reads what has no partition for so long that one cannot be attached, or rows of the month
-- lie there already, nothing is made: the rows go there, and that is told (vitals: series_default_bytes).
--
-- Nobody is granted a partition but auditors: rows are read through the table, which has the rights and
-- row-level security. With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.add_series_partitions(
    schema_name text, table_name text, from_time timestamptz, to_time timestamptz, changed boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    month     timestamptz := date_trunc('month', from_time, 'UTC');
    following timestamptz;
    name      text;
BEGIN
    PERFORM public.check_series(schema_name, table_name);
    EXECUTE format('LOCK TABLE %I.%I IN SHARE UPDATE EXCLUSIVE MODE', schema_name, table_name);
    IF public.shown_relation(schema_name, table_name)
        = to_regclass(format('%I.%I', schema_name, table_name)) THEN
        PERFORM public.add_series_partition(schema_name, table_name, table_name || '_default', NULL, NULL,
            changed);
    END IF;
    WHILE month <= to_time LOOP
        following := date_trunc('month', month + interval '32 days', 'UTC');
        name := format('%s_%s', table_name, to_char(month AT TIME ZONE 'UTC', 'YYYYMM'));
        BEGIN
            PERFORM public.add_series_partition(schema_name, table_name, name, month, following,
                changed);
        EXCEPTION WHEN lock_not_available OR check_violation
            OR SQLSTATE 'TS503' THEN NULL; -- a day's chunk of the month is there
        END;
        month := following;
    END LOOP;
END;
$$;
