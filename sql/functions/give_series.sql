-- Gives a time series of a build its rights: by the statements that every table has where it is
-- partitioned; where it is a hypertable, to those who see every row the table, to all others the view
-- with the rows that `visible` says. Called again it changes nothing. Then old months may be compressed:
-- not before, because a build that is being filled drops months as well, and neither may wait for the other.
--
-- Run by the definition of a read model (projections/engine/access/rights.py), with its owner's rights.
CREATE OR REPLACE FUNCTION public.give_series(
    schema_name text, table_name text, statements text, readers text, visible text)
RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    timescale text := (SELECT e.extnamespace::pg_catalog.regnamespace
                       FROM pg_catalog.pg_extension AS e WHERE e.extname = 'timescaledb');
    after     interval := coalesce(current_setting('ledger.series_compressed_after', true), '7 days');
BEGIN
    IF to_regclass(format('%I.%I', schema_name, 'visible_' || table_name)) IS NULL THEN
        EXECUTE statements;
        RETURN;
    END IF;
    PERFORM public.show_series(schema_name, table_name, visible);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO ledger_projector',
        schema_name, table_name);
    EXECUTE format('GRANT SELECT ON %I.%I TO ledger_auditor', schema_name, table_name);
    EXECUTE format('GRANT SELECT ON %I.%I TO %s', schema_name, 'visible_' || table_name, readers);
    EXECUTE format('CALL %s.add_columnstore_policy(%L::regclass, after => %L::interval, '
        'schedule_interval => interval ''1 hour'', if_not_exists => true)', timescale,
        format('%I.%I', schema_name, table_name), after);
END;
$$;
