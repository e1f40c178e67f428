-- Makes a table that can become a partition of the log: with the columns, checks and triggers of
-- event_store, and the keys that only a single partition can have. Its other indexes come with the
-- attachment.
--
-- With the rights of whoever calls it: functions of the owner's.
CREATE OR REPLACE FUNCTION public.create_event_partition(name text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.event_store'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION,'
        ' CONSTRAINT %I PRIMARY KEY (position), CONSTRAINT %I UNIQUE (id),'
        ' CONSTRAINT %I UNIQUE (stream_id, event_version))',
        name, name || '_pkey', name || '_id_key', name || '_stream_id_event_version_key');
    EXECUTE format('CREATE TRIGGER event_store_is_append_only'
        ' BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change_of_event_store()', name);
    EXECUTE format('CREATE TRIGGER event_store_is_guarded AFTER INSERT ON public.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.guard_appended_events()', name);
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', name);
    EXECUTE format('GRANT SELECT ON public.%I TO ledger_auditor', name);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON public.%I FROM %I', name, current_user);
END;
$$;
