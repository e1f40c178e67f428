-- Makes the tables of a build, empty and without secondary indexes, from the definition with this
-- checksum. Who folds may write them; nobody else reads them before give_generation.
--
-- With the rights of its owner, who owns all builds (migrations/0015): what is run is what was
-- installed. The names in it are looked up in the new schema and in pg_catalog, not with the caller.
CREATE OR REPLACE FUNCTION public.create_generation(
    projection text, definition text, schema_name text, logged boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made_of      public.read_model_definitions%ROWTYPE;
    table_name text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    SELECT * INTO made_of FROM public.read_model_definitions AS d
        WHERE d.projection_name = projection AND d.checksum = definition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tables of % are not those that were installed', projection
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    IF to_regnamespace(quote_ident(schema_name)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', schema_name);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO ledger_projector', schema_name);
    END IF;
    PERFORM set_config('search_path', format('%I, pg_temp', schema_name), true);
    EXECUTE made_of.tables;
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
    -- Of builds that may become live: what is only looked at or compared is compressed by nobody.
    IF public.series_storage() = 'HYPERTABLES' AND schema_name ~ '_[0-9]+$'
        AND schema_name NOT LIKE 'past\_%' THEN
        PERFORM public.make_hypertable(schema_name, c.relname) FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace(quote_ident(schema_name)) AND c.relkind = 'p';
    END IF;
    FOREACH table_name IN ARRAY made_of.table_names LOOP
        IF NOT logged AND EXISTS (SELECT FROM pg_class AS c WHERE c.relkind = 'r'
                AND c.oid = public.shown_relation(schema_name, table_name)) THEN
            EXECUTE format('ALTER TABLE %I.%I SET UNLOGGED', schema_name, table_name);
        END IF;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO ledger_projector',
            schema_name, table_name);
    END LOOP;
END;
$$;
