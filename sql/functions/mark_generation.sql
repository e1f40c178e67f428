-- Makes the table that marks a moment for a build (projections/engine/builds/snapshots.py) and gives it to
-- operators: VACUUM, which tells whether anybody is older than the mark, wants the owner. Its owner can
-- put code upon it; so only operators work with it, whoever asks (they take on the role), and in its
-- schema they can make nothing else.
--
-- With the rights of its owner, who owns the schema.
CREATE OR REPLACE FUNCTION public.mark_generation(projection text, schema_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.check_generation(projection, schema_name);
    -- One at a time: two at once could not both change the rights on the schema.
    LOCK TABLE public.read_model_definitions IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE generation_marks.%I (mark boolean)', schema_name);
    GRANT CREATE ON SCHEMA generation_marks TO ledger_operator;
    EXECUTE format('ALTER TABLE generation_marks.%I OWNER TO ledger_operator', schema_name);
    REVOKE CREATE ON SCHEMA generation_marks FROM ledger_operator;
END;
$$;
