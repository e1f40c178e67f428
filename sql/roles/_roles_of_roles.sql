-- Operators rebuild read models, so they may do what the projections do. Whoever migrates makes
-- read models and hands them to these two.
DO $$
BEGIN
    IF NOT pg_has_role('ledger_operator', 'ledger_projector', 'MEMBER') THEN
        GRANT ledger_projector TO ledger_operator;
    END IF;
    IF NOT pg_has_role(current_user, 'ledger_operator', 'USAGE') THEN
        EXECUTE format('GRANT ledger_operator TO %I', current_user);
    END IF;
EXCEPTION
    -- Roles belong to the whole server: the migration of another database was faster.
    WHEN unique_violation THEN NULL;
END;
$$;
