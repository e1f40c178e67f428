-- The bytes of all tables of a build with what belongs to them; of a hypertable also what TimescaleDB keeps
-- of it in a schema of its own. NULL if there is no such schema.
--
-- With the rights of its owner, whose the hypertables are.
CREATE OR REPLACE FUNCTION public.generation_bytes(schema_name text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT sum(CASE WHEN t.relkind = 'p' OR public.shown_relation(schema_name, t.relname) <> t.oid
            THEN (SELECT coalesce(sum(p.bytes), 0)
                  FROM public.series_parts(schema_name, t.relname) AS p)
            ELSE pg_total_relation_size(t.oid) END)
        FROM pg_class AS t
        WHERE t.relnamespace = to_regnamespace(quote_ident(schema_name)) AND t.relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = t.oid));
END;
$$;
