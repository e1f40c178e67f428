-- Gives the tables of a build the rights and row-level security of those of the same name in the
-- live generation, as they are at the moment of a swap (projections/engine/access/takeover.py). Policies that
-- only the build has, or has of the same name, come with its code and stay, unless `replace_all`: then
-- those of the live tables are all there are.
--
-- Who may read a time series that is a hypertable is who may read the view beside it, in one build or in
-- both; it has no policies, so none is copied to it or from it, and one of somebody's own that would be
-- lost is refused.
--
-- With the rights of its owner, who owns both: nobody else can put a policy on either.
CREATE OR REPLACE FUNCTION public.copy_access(
    projection text, live_schema text, schema_name text, replace_all boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text;
    lost      text;
    -- A policy may name other tables of its own generation: it is made to name the build's.
    own_names text := format('(?<![\w"$])(%1$s|"%1$s")\.', live_schema);
BEGIN
    PERFORM public.check_generation(projection, live_schema);
    PERFORM public.check_generation(projection, schema_name);
    SELECT string_agg(format('%I on %s', p.polname, live.relation), ', ') INTO lost
        FROM public.relations_of_generation(live_schema) AS live
        JOIN public.relations_of_generation(schema_name) AS ours USING (name)
        JOIN pg_policy AS p ON p.polrelid = live.relation
        WHERE ours.is_view AND p.polname NOT IN ('written_rows', 'all_rows', 'own_rows');
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'a hypertable can have no policies, and there are: %', lost
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Drop them, or ALTER DATABASE … SET ledger.series_storage = ''partitions'' and '
                    'rebuild.';
    END IF;
    FOR statement IN
        WITH relations AS (
            SELECT s.nspname, r.name AS relname, r.is_view, c.oid, c.relacl, c.relowner
            FROM (VALUES (live_schema), (schema_name)) AS s (nspname)
            CROSS JOIN public.relations_of_generation(s.nspname) AS r
            JOIN pg_class AS c ON c.oid = r.relation
        ), granted AS (
            SELECT n.nspname::text, NULL::name AS relname, NULL::name AS attname, a.*
            FROM pg_namespace AS n,
                aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
            WHERE n.nspname IN (live_schema, schema_name) AND a.grantee <> n.nspowner
            UNION ALL
            SELECT r.nspname, r.relname, NULL, a.*
            FROM relations AS r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
            WHERE a.grantee <> r.relowner
            UNION ALL
            SELECT r.nspname, r.relname, t.attname, a.*
            FROM relations AS r JOIN pg_attribute AS t ON t.attrelid = r.oid,
                aclexplode(t.attacl) AS a
        ), rights AS (
            SELECT nspname, relname, attname, privilege_type,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
                    AS grantee, bool_or(is_grantable) AS is_grantable
            FROM granted GROUP BY 1, 2, 3, 4, grantee
        ), compared AS (
            SELECT relname, attname, privilege_type, grantee,
                bool_or(is_grantable) FILTER (WHERE nspname = live_schema) AS live,
                bool_or(is_grantable) FILTER (WHERE nspname = schema_name) AS ours
            FROM rights GROUP BY 1, 2, 3, 4
        )
        SELECT format('%s %s%s ON %s %s %s%s',
            CASE WHEN live IS NULL THEN 'REVOKE'
                WHEN ours AND NOT live THEN 'REVOKE GRANT OPTION FOR' ELSE 'GRANT' END,
            privilege_type,
            ' (' || quote_ident(attname) || ')',
            CASE WHEN relname IS NULL THEN format('SCHEMA %I', schema_name)
                ELSE format('TABLE %s', (SELECT r.oid::regclass FROM relations AS r
                    WHERE r.nspname = schema_name AND r.relname = c.relname)) END,
            CASE WHEN live IS NULL OR ours AND NOT live THEN 'FROM' ELSE 'TO' END,
            grantee,
            CASE WHEN live THEN ' WITH GRANT OPTION' END)
        FROM compared AS c
        WHERE live IS DISTINCT FROM ours AND (relname IS NULL OR (
            SELECT count(*) = 2 AND (privilege_type = 'SELECT' OR NOT bool_or(r.is_view))
            FROM relations AS r WHERE r.relname = c.relname
                AND (r.nspname = live_schema OR attname IS NULL OR EXISTS (
                    SELECT FROM pg_attribute AS t WHERE t.attrelid = r.oid
                        AND t.attname = c.attname AND t.attnum > 0 AND NOT t.attisdropped))))
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('DROP POLICY %I ON %s', p.polname, ours.relation)
        FROM public.relations_of_generation(schema_name) AS ours
        JOIN public.relations_of_generation(live_schema) AS live USING (name)
        JOIN pg_policy AS p ON p.polrelid = ours.relation
        WHERE replace_all AND NOT live.is_view
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s',
            p.polname, ours.relation,
            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(p.polroles) AS r),
            ' USING (' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), own_names,
                schema_name || '.', 'g') || ')',
            ' WITH CHECK (' || regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), own_names,
                schema_name || '.', 'g') || ')')
        FROM public.relations_of_generation(live_schema) AS live
        JOIN public.relations_of_generation(schema_name) AS ours USING (name)
        JOIN pg_policy AS p ON p.polrelid = live.relation
        WHERE NOT ours.is_view AND NOT EXISTS (SELECT FROM pg_policy AS there
            WHERE there.polname = p.polname AND there.polrelid = ours.relation)
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY', pair.ours, s.word)
        FROM (SELECT ours.relation AS ours, live.relation AS live
              FROM public.relations_of_generation(schema_name) AS ours
              JOIN public.relations_of_generation(live_schema) AS live USING (name)
              WHERE NOT ours.is_view AND NOT live.is_view) AS pair
        JOIN pg_class AS ours ON ours.oid = pair.ours
        JOIN pg_class AS live ON live.oid = pair.live, LATERAL (VALUES
            (live.relrowsecurity, ours.relrowsecurity,
                CASE WHEN live.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END),
            (live.relforcerowsecurity, ours.relforcerowsecurity,
                CASE WHEN live.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END)
        ) AS s (wanted, has, word)
        WHERE s.wanted <> s.has AND (s.wanted OR replace_all)
    LOOP
        EXECUTE statement;
    END LOOP;
END;
$$;
