-- Lets the public views of a projection show the tables of a build. A view that is there keeps its
-- privileges, its options and what is built upon it. `back`: to an earlier build, maybe of other code:
-- a column that its tables do not have is shown as null, because a view cannot lose columns, and a
-- table that it does not have leaves its view as it is.
--
-- With the generation `before` the views show both, each to those in whose snapshot it is the live one
-- (live_generation.sql): a transaction that began before a swap goes on reading what it read. The
-- condition names no column, so PostgreSQL asks it once and then runs one of the two.
--
-- With the rights of its owner, who owns the views: an operator moves them from build to build and can
-- put nothing else into them.
CREATE OR REPLACE FUNCTION public.show_generation(
    projection text, definition text, schema_name text, back boolean, before integer)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names     text[];
    view_name text;
    fresh     regclass;
    older     regclass;
    shown     regclass;
    rows_of   text[];
    options   text;
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    SELECT d.public_names INTO names FROM public.read_model_definitions AS d
        WHERE d.projection_name = projection AND d.checksum = definition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the views of % are not those that were installed', projection
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    IF before IS NOT NULL THEN
        PERFORM public.check_generation(projection, projection || '_' || before);
    END IF;
    FOREACH view_name IN ARRAY names LOOP
        fresh := public.shown_relation(schema_name, view_name);
        CONTINUE WHEN back AND fresh IS NULL;
        shown := to_regclass(format('public.%I', view_name));
        older := CASE WHEN before IS NOT NULL
            THEN public.shown_relation(projection || '_' || before, view_name) END;
        -- The columns that the view shall have: of the new tables, or `back` those that it has.
        SELECT array_agg(format('SELECT %s FROM %s%s', parts.columns, parts.place,
                CASE WHEN before IS NOT NULL THEN format(
                    ' WHERE public.live_generation(%L) = %s', projection, parts.generation) END)
                ORDER BY parts.place = fresh) INTO rows_of
            FROM (SELECT place, generation, string_agg(CASE WHEN has.attname IS NOT NULL
                        THEN quote_ident(wanted.attname)
                        ELSE format('NULL::%s AS %I',
                            format_type(wanted.atttypid, wanted.atttypmod), wanted.attname) END,
                        ', ' ORDER BY wanted.attnum) AS columns
                  FROM (VALUES (fresh, replace(schema_name, projection || '_', '')),
                        (older, before::text)) AS places (place, generation)
                  CROSS JOIN (SELECT a.* FROM pg_attribute AS a WHERE a.attnum > 0
                        AND NOT a.attisdropped
                        AND a.attrelid = CASE WHEN back THEN coalesce(shown, fresh)
                            ELSE fresh END) AS wanted
                  LEFT JOIN pg_attribute AS has ON has.attrelid = place
                        AND has.attname = wanted.attname AND NOT has.attisdropped
                  WHERE place IS NOT NULL
                  GROUP BY place, generation) AS parts;
        SELECT array_to_string(c.reloptions, ', ') INTO options
            FROM pg_class AS c WHERE c.oid = shown;
        EXECUTE format('CREATE OR REPLACE VIEW public.%I WITH (%s) AS %s', view_name,
            coalesce(options, 'security_invoker=true'), array_to_string(rows_of, ' UNION ALL '));
        IF shown IS NULL THEN
            EXECUTE format('GRANT SELECT ON public.%I TO ledger_projector, ledger_auditor, '
                'ledger_operator, ledger_user', view_name);
        END IF;
    END LOOP;
END;
$$;
