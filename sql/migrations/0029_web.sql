-- Who is signed in by HTTP. What a browser holds is known here by its digest only, so nobody who reads
-- this table can be any of them. A session is over when its time is, or when somebody ends it.
CREATE TABLE web_sessions (
    digest        bytea       NOT NULL,
    name          text        NOT NULL,
    method        text        NOT NULL,
    created_at    timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    address       text        NOT NULL,
    agent         text        NOT NULL,
    ended_at      timestamptz,
    ended_by      text,
    CONSTRAINT web_sessions_pkey PRIMARY KEY (digest),
    CONSTRAINT web_sessions_digest_is_sha256 CHECK (octet_length(digest) = 32),
    CONSTRAINT web_sessions_method_known CHECK (method IN ('PASSWORD', 'OIDC', 'FIRST_TOKEN')),
    CONSTRAINT web_sessions_ended_by_somebody CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX web_sessions_name ON web_sessions (name, created_at);

-- What one person asked for and another has to approve, as it was previewed. What is not decided by
-- its time is nothing.
CREATE TABLE web_approvals (
    id            uuid        NOT NULL,
    action        text        NOT NULL,
    arguments     jsonb       NOT NULL,
    effect        text        NOT NULL,
    reason        text        NOT NULL,
    requested_by  text        NOT NULL,
    requested_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    decision      text,
    decided_by    text,
    decided_at    timestamptz,
    result        jsonb,
    CONSTRAINT web_approvals_pkey PRIMARY KEY (id),
    CONSTRAINT web_approvals_decision_known CHECK (decision IN ('APPROVED', 'REJECTED')),
    CONSTRAINT web_approvals_decided_by_somebody
        CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
    CONSTRAINT web_approvals_two_persons CHECK (decision <> 'APPROVED' OR decided_by <> requested_by)
);
CREATE INDEX web_approvals_requested_at ON web_approvals (requested_at);
