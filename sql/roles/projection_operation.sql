-- Who may see and steer how projections are operated.
REVOKE ALL ON public.projection_leases FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor;
GRANT SELECT ON public.projection_leases
    TO ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_monitor;
GRANT INSERT, UPDATE, DELETE ON public.projection_leases TO ledger_projector;
GRANT INSERT, UPDATE ON public.projection_leases TO ledger_sealer;

-- The sealer's lease is the sealer's alone, as its row of event_projections is: whoever could write
-- it could keep every other sealer out, or have the one that claims next end a session of its login.
ALTER TABLE public.projection_leases ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS seen ON public.projection_leases;
CREATE POLICY seen ON public.projection_leases FOR SELECT
    TO ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_monitor USING (true);
DROP POLICY IF EXISTS held_by_projector ON public.projection_leases;
CREATE POLICY held_by_projector ON public.projection_leases FOR ALL
    TO ledger_projector
    USING (projection_name <> 'seals') WITH CHECK (projection_name <> 'seals');
DROP POLICY IF EXISTS held_by_sealer ON public.projection_leases;
CREATE POLICY held_by_sealer ON public.projection_leases FOR ALL
    TO ledger_sealer USING (projection_name = 'seals') WITH CHECK (projection_name = 'seals');

-- Parked events, and dropping those of a build that is made anew.
GRANT SELECT ON projection_dead_letters TO ledger_projector, ledger_auditor, ledger_operator;
GRANT INSERT, UPDATE, DELETE ON projection_dead_letters TO ledger_projector;
-- Monitoring sees that something is parked, not what the error says of it.
GRANT SELECT (id, projection_name, generation, partition_key, position, status, kind, parked_at)
    ON projection_dead_letters TO ledger_monitor;
