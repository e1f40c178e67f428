-- What readers are shown of a table of a build: of a time series that is a hypertable, the view beside it
-- (functions/make_hypertable.sql), else the table itself. NULL if there is none.
CREATE OR REPLACE FUNCTION public.shown_relation(schema_name text, table_name text) RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(to_regclass(format('%I.%I', schema_name, 'visible_' || table_name)),
        to_regclass(format('%I.%I', schema_name, table_name)));
$$;
