-- Rebuilds are made by operators, who are members of ledger_projector; whoever may see how far the
-- read models are may see how far their rebuilds are.
REVOKE ALL ON projection_generations, projection_build_parts FROM ledger_writer, ledger_projector,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_generations, projection_build_parts
    TO ledger_projector;
GRANT SELECT ON projection_generations, projection_build_parts
    TO ledger_auditor, ledger_operator, ledger_monitor;
