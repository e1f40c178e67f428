-- Makes one part of a time series, if it is not there: a partition, or a chunk of a hypertable; without
-- times the partition of what has none. With the rights of whoever calls it: functions of the owner's.
CREATE OR REPLACE FUNCTION public.add_series_partition(
    schema_name text, table_name text, name text, begins timestamptz, ends timestamptz, changed boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    timescale text := (SELECT e.extnamespace::regnamespace FROM pg_extension AS e
                       WHERE e.extname = 'timescaledb');
    series    regclass := to_regclass(format('%I.%I', schema_name, table_name));
BEGIN
    IF to_regclass(format('%I.%I', schema_name, name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Where rows are changed, room for their new versions is left on their page.
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS) WITH (fillfactor = %4$s)',
        schema_name, name, table_name, CASE WHEN changed THEN 60 ELSE 100 END);
    IF public.shown_relation(schema_name, table_name) <> series THEN
        EXECUTE format('CALL %s.attach_chunk(%L::regclass, %L::regclass, %L::jsonb)', timescale, series,
            format('%I.%I', schema_name, name),
            jsonb_build_object('time', jsonb_build_array(begins::text, ends::text)));
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', schema_name, name);
    EXECUTE format('GRANT SELECT ON %I.%I TO ledger_auditor', schema_name, name);
    EXECUTE format('CREATE POLICY all_rows ON %I.%I FOR SELECT TO ledger_auditor USING (true)',
        schema_name, name);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I %s', series, schema_name, name,
        CASE WHEN begins IS NULL THEN 'DEFAULT'
            ELSE format('FOR VALUES FROM (%L) TO (%L)', begins, ends) END);
END;
$$;
