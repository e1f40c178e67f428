-- The roles, none of which logs in: accounts of services and people are made members of them.
--
-- First of this directory and with nothing else in it: a transaction that was overtaken by another
-- in creating a role cannot yet see it, the next one can.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['ledger_writer', 'ledger_projector', 'ledger_sealer', 'ledger_auditor',
        'ledger_operator', 'ledger_user', 'ledger_monitor', 'ledger_scheduler', 'ledger_http']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                -- Who serves others has none of their rights until it works as one of them.
                EXECUTE format('CREATE ROLE %I NOLOGIN %s', role,
                    CASE role WHEN 'ledger_http' THEN 'NOINHERIT' ELSE '' END);
            EXCEPTION
                -- Roles belong to the whole server: the migration of another database was faster.
                WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
END;
$$;
