-- Drops a build that is not live: its schema, or of a schema that several share (past_…) its tables,
-- and the schema with the last of them. Nothing if it is not there.
--
-- With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.drop_generation(projection text, schema_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    table_name text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    IF EXISTS (SELECT FROM public.event_projections AS p WHERE p.projection_name = projection
               AND schema_name = p.projection_name || '_' || p.generation) THEN
        RAISE EXCEPTION 'schema % is the live generation of %', schema_name, projection
            USING ERRCODE = 'object_in_use', HINT = 'Make another one live, then drop it.';
    END IF;
    SELECT min(v.relname) INTO table_name FROM pg_depend AS d
        JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
        JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        JOIN pg_class AS v ON v.oid = r.ev_class AND t.relname IN (v.relname, 'visible_' || v.relname)
        WHERE t.relnamespace = to_regnamespace(quote_ident(schema_name))
            AND v.relnamespace = 'public'::regnamespace;
    IF table_name IS NOT NULL THEN
        RAISE EXCEPTION 'public views show tables of schema %: %', schema_name, table_name
            USING ERRCODE = 'dependent_objects_still_exist';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS generation_marks.%I', schema_name);
    IF schema_name LIKE 'past\_%' THEN
        FOR table_name IN
            SELECT DISTINCT c.relname FROM pg_class AS c
            JOIN public.read_model_definitions AS d ON c.relname = ANY(d.table_names)
            WHERE d.projection_name = projection
                AND c.relnamespace = to_regnamespace(quote_ident(schema_name))
        LOOP
            EXECUTE format('DROP TABLE %I.%I CASCADE', schema_name, table_name);
        END LOOP;
        IF EXISTS (SELECT FROM pg_class AS c
                   WHERE c.relnamespace = to_regnamespace(quote_ident(schema_name))) THEN
            RETURN;
        END IF;
    END IF;
    -- First by themselves: with the schema what TimescaleDB keeps of them elsewhere would stay.
    FOR table_name IN
        SELECT r.name FROM public.relations_of_generation(schema_name) AS r WHERE r.is_view
    LOOP
        EXECUTE format('DROP TABLE %I.%I CASCADE', schema_name, table_name);
    END LOOP;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', schema_name);
END;
$$;
