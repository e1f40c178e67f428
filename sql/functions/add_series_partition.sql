-- Makes one partition of a time series, if it is not there. With the rights of whoever calls it:
-- functions of the owner's.
CREATE OR REPLACE FUNCTION public.add_series_partition(
    schema_name text, table_name text, name text, bounds text, changed boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass(format('%I.%I', schema_name, name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Where rows are changed, room for their new versions is left on their page.
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS) WITH (fillfactor = %4$s)',
        schema_name, name, table_name, CASE WHEN changed THEN 60 ELSE 100 END);
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', schema_name, name);
    EXECUTE format('GRANT SELECT ON %I.%I TO ledger_auditor', schema_name, name);
    EXECUTE format('CREATE POLICY all_rows ON %I.%I FOR SELECT TO ledger_auditor USING (true)',
        schema_name, name);
    EXECUTE format('ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I %4$s',
        schema_name, table_name, name, bounds);
END;
$$;
