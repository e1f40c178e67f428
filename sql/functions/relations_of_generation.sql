-- What the rights of a build lie on, by the name that readers know: its tables, and of a time series that
-- is a hypertable the view beside it, which is granted in its place. Not the parts of a time series, which
-- nobody reads but through it.
CREATE OR REPLACE FUNCTION public.relations_of_generation(schema_name text)
RETURNS TABLE (name name, relation regclass, is_view boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT t.relname, public.shown_relation(schema_name, t.relname),
        public.shown_relation(schema_name, t.relname) <> t.oid
    FROM pg_class AS t
    WHERE t.relnamespace = to_regnamespace(quote_ident(schema_name)) AND t.relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = t.oid);
END;
$$;
