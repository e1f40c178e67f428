-- Makes the secondary indexes of a build, if they are not there, and tells the planner about its
-- tables. All of them are made in one transaction, so one tells of all.
--
-- With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.index_generation(
    projection text, definition text, schema_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made_of public.read_model_definitions%ROWTYPE;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    SELECT * INTO made_of FROM public.read_model_definitions AS d
        WHERE d.projection_name = projection AND d.checksum = definition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the indexes of % are not those that were installed', projection
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
        WHERE c.relnamespace = to_regnamespace(quote_ident(schema_name))
            AND c.relname = ANY(made_of.table_names)
            AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid))
    THEN
        PERFORM set_config('search_path', format('%I, pg_temp', schema_name), true);
        EXECUTE made_of.indexes;
        PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
    END IF;
    PERFORM public.analyze_generation(projection, schema_name);
END;
$$;
