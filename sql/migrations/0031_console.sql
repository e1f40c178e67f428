-- When an approved deed was last begun: one that has no result since was begun by a server that ended
-- meanwhile, and is offered again (ledger/web/actions/approvals.py).
ALTER TABLE public.web_approvals ADD COLUMN attempted_at timestamptz;
UPDATE public.web_approvals SET attempted_at = decided_at WHERE decision = 'APPROVED';

-- When a token was used last, to the minute. The tokens themselves are in a file.
CREATE TABLE public.web_token_uses (
    token_id     text        NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT web_token_uses_pkey PRIMARY KEY (token_id)
);
REVOKE ALL ON public.web_token_uses FROM PUBLIC;

-- What people did, who are few among the events: by who signed in at the console, for whom the console
-- speaks, or by whom an event names. Nobody appends meanwhile, some seconds per million events.
CREATE INDEX event_store_person ON public.event_store (
    (CASE WHEN metadata->>'source' LIKE 'web:%'
            AND coalesce(metadata->>'sender', 'anonymous') IN ('anonymous', 'web')
        THEN substr(metadata->>'source', 5)
        ELSE coalesce(event_data->>'actor', event_data->>'by') END),
    position)
    WHERE event_data ?| ARRAY['actor', 'by'] OR metadata->>'source' LIKE 'web:%';
