-- Makes a time series of a build, partitioned and empty as its definition says, a hypertable of
-- TimescaleDB with the same columns, keys and comments. Its chunks are the months that
-- add_series_partitions attaches; what has no month finds a day's, which TimescaleDB makes.
--
-- Rows of a chunk that is compressed lie together by what stands before the time in the key, and by the
-- user, whose every query names one of them.
--
-- TimescaleDB compresses no table with row-level security. So nobody but those who see every row is
-- granted the table, and everybody reads the view beside it: see show_series.sql.
CREATE OR REPLACE FUNCTION public.make_hypertable(schema_name text, table_name text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    timescale text := (SELECT e.extnamespace::regnamespace FROM pg_extension AS e
                       WHERE e.extname = 'timescaledb');
    series    regclass := to_regclass(format('%I.%I', schema_name, table_name));
    about     text := obj_description(series, 'pg_class');
    fresh     text := table_name || '_hypertable';
    columns   text[];
    place     integer;
BEGIN
    SELECT array_agg(quote_ident(a.attname) ORDER BY k.number) INTO columns
        FROM pg_index AS i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, number)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = series AND i.indisprimary;
    place := array_position(columns, quote_ident('time'));
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING ALL)', schema_name, fresh,
        table_name);
    EXECUTE format('DROP TABLE %I.%I', schema_name, table_name);
    EXECUTE format('ALTER TABLE %I.%I RENAME TO %I', schema_name, fresh, table_name);
    EXECUTE format('ALTER TABLE %I.%I RENAME CONSTRAINT %I TO %I', schema_name, table_name,
        fresh || '_pkey', table_name || '_pkey');
    series := format('%I.%I', schema_name, table_name);
    EXECUTE format('COMMENT ON TABLE %s IS %L', series, about);
    EXECUTE format('SELECT %1$s.create_hypertable(%2$L::regclass, %1$s.by_range(''time'', '
        'interval ''1 day''), create_default_indexes => false)', timescale, series);
    EXECUTE format('ALTER TABLE %s SET (timescaledb.enable_columnstore = true, '
        'timescaledb.segmentby = %L, timescaledb.orderby = %L)', series,
        array_to_string(columns[:place - 1] || ARRAY(SELECT quote_ident(a.attname)
            FROM pg_attribute AS a WHERE a.attrelid = series AND a.attname = 'user_id'), ','),
        array_to_string(columns[place:], ' DESC,') || ' DESC');
    PERFORM public.show_series(schema_name, table_name, 'false');
END;
$$;
