-- Operators rebuild read models, so they may do what the projections do. Of those who follow the log one
-- tells people how the ledger is, so it may see what whoever watches sees. The clock looks for what is
-- due, so it may read what auditors read. Whoever migrates owns the
-- log, makes read models and hands them over; as a member of the roles it can step down to them
-- (a superuser can anyway).
DO $$
DECLARE
    role text;
BEGIN
    IF NOT pg_catalog.pg_has_role('ledger_operator', 'ledger_projector', 'MEMBER') THEN
        GRANT ledger_projector TO ledger_operator;
    END IF;
    IF NOT pg_catalog.pg_has_role('ledger_projector', 'ledger_monitor', 'MEMBER') THEN
        GRANT ledger_monitor TO ledger_projector;
    END IF;
    IF NOT pg_catalog.pg_has_role('ledger_scheduler', 'ledger_auditor', 'MEMBER') THEN
        GRANT ledger_auditor TO ledger_scheduler;
    END IF;
    -- Each request by HTTP works as who asks (SET LOCAL ROLE); nothing of theirs is inherited.
    FOREACH role IN ARRAY ARRAY['ledger_user', 'ledger_auditor', 'ledger_operator'] LOOP
        IF NOT pg_catalog.pg_has_role('ledger_http', role, 'MEMBER') THEN
            EXECUTE pg_catalog.format('GRANT %I TO ledger_http', role);
        END IF;
    END LOOP;
    FOREACH role IN ARRAY ARRAY['ledger_writer', 'ledger_operator', 'ledger_sealer', 'ledger_auditor',
        'ledger_scheduler', 'ledger_http'] LOOP
        IF NOT pg_catalog.pg_has_role(current_user, role, 'USAGE') THEN
            EXECUTE pg_catalog.format('GRANT %I TO %I', role, current_user);
        END IF;
    END LOOP;
EXCEPTION
    -- Roles belong to the whole server: the migration of another database was faster.
    WHEN unique_violation THEN NULL;
END;
$$;
