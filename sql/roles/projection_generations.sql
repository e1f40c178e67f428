-- Whoever may see how far the read models are may see how far their rebuilds are.
GRANT SELECT ON projection_generations, projection_build_parts
    TO ledger_projector, ledger_auditor, ledger_operator, ledger_monitor;
