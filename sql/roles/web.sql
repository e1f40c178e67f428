-- Kept by the HTTP server and nobody else; auditors see who was signed in and who approved what.
REVOKE ALL ON public.web_sessions, public.web_approvals, public.web_token_uses FROM PUBLIC, ledger_writer,
    ledger_projector, ledger_sealer, ledger_auditor, ledger_operator, ledger_user, ledger_monitor,
    ledger_http;
GRANT SELECT ON public.web_sessions, public.web_approvals, public.web_token_uses TO ledger_auditor;
GRANT SELECT, INSERT, DELETE ON public.web_sessions TO ledger_http;
GRANT UPDATE (last_seen_at, ended_at, ended_by) ON public.web_sessions TO ledger_http;
GRANT SELECT, INSERT ON public.web_approvals TO ledger_http;
GRANT UPDATE (decision, decided_by, decided_at, result, attempted_at) ON public.web_approvals TO ledger_http;
GRANT SELECT, INSERT ON public.web_token_uses TO ledger_http;
GRANT UPDATE (last_used_at) ON public.web_token_uses TO ledger_http;
