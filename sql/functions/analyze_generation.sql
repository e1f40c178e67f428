-- Tells the planner about the tables of a build. With the rights of its owner, who owns all builds.
CREATE OR REPLACE FUNCTION public.analyze_generation(projection text, schema_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    table_name text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    FOR table_name IN
        SELECT DISTINCT c.relname FROM pg_class AS c
        JOIN public.read_model_definitions AS d ON c.relname = ANY(d.table_names)
        WHERE d.projection_name = projection AND c.relkind IN ('r', 'p')
            AND c.relnamespace = to_regnamespace(quote_ident(schema_name))
    LOOP
        EXECUTE format('ANALYZE %I.%I', schema_name, table_name);
    END LOOP;
END;
$$;
