-- Lets the public views of a projection show the tables of a build. A view that is there keeps its
-- privileges, its options and what is built upon it. `back`: to an earlier build, maybe of other code:
-- a column that its tables do not have is shown as null, because a view cannot lose columns, and a
-- table that it does not have leaves its view as it is.
--
-- With the rights of its owner, who owns the views: an operator moves them from build to build and can
-- put nothing else into them.
CREATE OR REPLACE FUNCTION public.show_generation(
    projection text, definition text, schema_name text, back boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names     text[];
    view_name text;
    shown     regclass;
    columns   text;
    options   text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    SELECT d.public_names INTO names FROM public.read_model_definitions AS d
        WHERE d.projection_name = projection AND d.checksum = definition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the views of % are not those that were installed', projection
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    FOREACH view_name IN ARRAY names LOOP
        CONTINUE WHEN back AND to_regclass(format('%I.%I', schema_name, view_name)) IS NULL;
        shown := to_regclass(format('public.%I', view_name));
        SELECT string_agg(CASE WHEN ours.attname IS NOT NULL THEN quote_ident(ours.attname)
                ELSE format('NULL::%s AS %I', format_type(theirs.atttypid, theirs.atttypmod),
                    theirs.attname) END, ', ' ORDER BY coalesce(theirs.attnum, ours.attnum))
            INTO columns
            FROM (SELECT a.* FROM pg_attribute AS a
                  WHERE a.attrelid = to_regclass(format('%I.%I', schema_name, view_name))
                      AND a.attnum > 0 AND NOT a.attisdropped) AS ours
            FULL JOIN (SELECT a.* FROM pg_attribute AS a
                  WHERE back AND a.attrelid = shown AND a.attnum > 0 AND NOT a.attisdropped) AS theirs
                USING (attname)
            WHERE NOT back OR shown IS NULL OR theirs.attname IS NOT NULL;
        SELECT array_to_string(c.reloptions, ', ') INTO options
            FROM pg_class AS c WHERE c.oid = shown;
        EXECUTE format('CREATE OR REPLACE VIEW public.%I WITH (%s) AS SELECT %s FROM %I.%I',
            view_name, coalesce(options, 'security_invoker=true'), columns, schema_name, view_name);
        IF shown IS NULL THEN
            EXECUTE format('GRANT SELECT ON public.%I TO ledger_projector, ledger_auditor, '
                'ledger_operator, ledger_user', view_name);
        END IF;
    END LOOP;
END;
$$;
