-- Nobody changes history, the table's owner included. (An owner can grant it back to itself and
-- a superuser needs no grant: the trigger stands behind this one.)
DO $$
DECLARE
    part    regclass;
    grantee text;
BEGIN
    FOR part, grantee IN
        SELECT DISTINCT oid, CASE acl.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(acl.grantee) END
        FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl
        WHERE acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
            AND (pg_class.oid = 'public.event_store'::regclass OR pg_class.oid IN (
                SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.event_store'::regclass))
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM %s', part,
            CASE WHEN grantee IS NULL THEN 'PUBLIC' ELSE quote_ident(grantee) END);
    END LOOP;
END;
$$;
