-- Raises unless the table is a time series of a read model, partitioned or a hypertable, in a schema that
-- may hold its builds.
CREATE OR REPLACE FUNCTION public.check_series(schema_name text, table_name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    projection text;
BEGIN
    SELECT d.projection_name INTO projection FROM public.read_model_definitions AS d
        WHERE table_name = ANY(d.table_names) LIMIT 1;
    PERFORM public.check_generation(projection, schema_name);
    IF NOT EXISTS (SELECT FROM pg_class AS c
            WHERE c.oid = to_regclass(format('%I.%I', schema_name, table_name))
                AND (c.relkind = 'p' OR c.oid <> public.shown_relation(schema_name, table_name))) THEN
        RAISE EXCEPTION 'table %.% is no time series', schema_name, table_name
            USING ERRCODE = 'wrong_object_type';
    END IF;
END;
$$;
