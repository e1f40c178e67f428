-- Workers keep their place here, operators steer them by it. The sealer's row is the sealer's alone:
-- whoever folds events cannot say how far they are sealed, nor hold the row.
REVOKE ALL ON public.event_projections FROM PUBLIC, ledger_writer, ledger_projector, ledger_sealer,
    ledger_auditor, ledger_operator, ledger_user, ledger_monitor, ledger_http;
GRANT SELECT, INSERT, UPDATE ON public.event_projections TO ledger_projector, ledger_sealer;
GRANT SELECT, UPDATE ON public.event_projections TO ledger_operator;
-- Who asks by HTTP may wait until a read model shows what was written.
GRANT SELECT ON public.event_projections TO ledger_auditor, ledger_monitor, ledger_http;

-- A user may know as of when own rows are.
GRANT SELECT (projection_name, last_processed_position) ON public.event_projections TO ledger_user;

ALTER TABLE public.event_projections ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS seen ON public.event_projections;
CREATE POLICY seen ON public.event_projections FOR SELECT
    TO ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_monitor,
    ledger_http, ledger_user USING (true);
DROP POLICY IF EXISTS added_by_projector ON public.event_projections;
CREATE POLICY added_by_projector ON public.event_projections FOR INSERT
    TO ledger_projector WITH CHECK (projection_name <> 'seals');
DROP POLICY IF EXISTS moved_by_projector ON public.event_projections;
CREATE POLICY moved_by_projector ON public.event_projections FOR UPDATE
    TO ledger_projector, ledger_operator
    USING (projection_name <> 'seals') WITH CHECK (projection_name <> 'seals');
DROP POLICY IF EXISTS added_by_sealer ON public.event_projections;
CREATE POLICY added_by_sealer ON public.event_projections FOR INSERT
    TO ledger_sealer WITH CHECK (projection_name = 'seals');
DROP POLICY IF EXISTS moved_by_sealer ON public.event_projections;
CREATE POLICY moved_by_sealer ON public.event_projections FOR UPDATE
    TO ledger_sealer USING (projection_name = 'seals') WITH CHECK (projection_name = 'seals');
