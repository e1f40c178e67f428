-- What the server has counted of itself: for whoever watches it, and looks after it. Nothing in it
-- is of the ledger: no row, and no text of a statement (functions/statement_statistics.sql).
REVOKE ALL ON public.database_performance_metrics, public.slow_queries, public.unused_indexes,
    public.table_statistics, public.tables_needing_maintenance FROM PUBLIC, ledger_writer,
    ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
REVOKE ALL ON FUNCTION public.statement_statistics FROM PUBLIC;
GRANT SELECT ON public.database_performance_metrics, public.slow_queries, public.unused_indexes,
    public.table_statistics, public.tables_needing_maintenance
    TO ledger_auditor, ledger_operator, ledger_monitor;
GRANT EXECUTE ON FUNCTION public.statement_statistics
    TO ledger_auditor, ledger_operator, ledger_monitor;
