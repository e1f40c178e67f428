-- Makes the view that readers of a time series read where it is a hypertable, with the rows that its
-- policies would show if it could have any: to those who fold, to auditors and to the owner all, to users
-- those of which `visible` is true.
--
-- A barrier: no function or operator of the reader's that may tell what it is given sees a row before the
-- condition was asked. Such a view is planned by itself; that its rows come newest first lets a query for
-- the newest of an account end when it has them.
--
-- With the rights of whoever calls it: functions of the owner's, whose rights the view has.
CREATE OR REPLACE FUNCTION public.show_series(schema_name text, table_name text, visible text)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW %1$I.%2$I WITH (security_barrier) AS '
        'SELECT * FROM %1$I.%3$I WHERE (SELECT pg_has_role(''ledger_projector'', ''USAGE'')) '
        'OR (SELECT pg_has_role(''ledger_auditor'', ''USAGE'')) '
        'OR (SELECT pg_has_role(%4$L, ''USAGE'')) '
        'OR (SELECT pg_has_role(''ledger_user'', ''USAGE'')) AND (%5$s) ORDER BY "time" DESC',
        schema_name, 'visible_' || table_name, table_name, current_user, visible);
END;
$$;
