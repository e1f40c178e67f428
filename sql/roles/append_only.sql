-- Nobody changes history, the table's owner included. (An owner can grant it back to itself and
-- a superuser needs no grant: the trigger stands behind this one.)
DO $$
DECLARE
    grantee text;
BEGIN
    REVOKE UPDATE, DELETE, TRUNCATE ON event_store FROM PUBLIC;
    FOR grantee IN
        SELECT DISTINCT pg_get_userbyid(acl.grantee)
        FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl
        WHERE pg_class.oid = 'event_store'::regclass AND acl.grantee <> 0
          AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event_store FROM %I', grantee);
    END LOOP;
END;
$$;
