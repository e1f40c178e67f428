-- Gives the tables of a build the rights and the row-level security that its definition says.
-- Called again it changes nothing.
--
-- With the rights of its owner, who owns all builds: see create_generation.sql.
CREATE OR REPLACE FUNCTION public.give_generation(
    projection text, definition text, schema_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    script text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    SELECT d.access INTO script FROM public.read_model_definitions AS d
        WHERE d.projection_name = projection AND d.checksum = definition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the rights of % are not those that were installed', projection
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ledger_projector, ledger_auditor, '
        'ledger_operator, ledger_user', schema_name);
    PERFORM set_config('search_path', format('%I, pg_temp', schema_name), true);
    EXECUTE script;
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
END;
$$;
