-- Raises unless `schema_name` may hold a build of the projection and, if it is there, is the log
-- owner's own: what these functions do with their owner's rights, they do in no other schema.
CREATE OR REPLACE FUNCTION public.check_generation(projection text, schema_name text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.read_model_definitions AS d
                   WHERE d.projection_name = projection) THEN
        RAISE EXCEPTION 'there is no read model %', quote_nullable(projection)
            USING ERRCODE = 'undefined_object', HINT = 'Run: ledgerctl migrate';
    END IF;
    IF schema_name IS NULL OR schema_name !~ ('^(past_[0-9]+|' || projection || '_([0-9]+|[a-z]+))$')
        OR length(schema_name) > 63 THEN
        RAISE EXCEPTION 'schema % is none of read model %', quote_nullable(schema_name), projection
            USING ERRCODE = 'check_violation',
                HINT = 'Builds lie in <projection>_<generation> and past_<position>.';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace AS n
               WHERE n.nspname = schema_name AND pg_get_userbyid(n.nspowner) <> current_user) THEN
        RAISE EXCEPTION 'schema % does not belong to the owner of the log', schema_name
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Find out who made it. Of an older version: run ledgerctl migrate.';
    END IF;
END;
$$;
