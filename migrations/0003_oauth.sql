-- Signing in to Zendesk by browser: the tokens that an admin granted, and sign-ins that are under way. Control tables.

CREATE TABLE source_grant (
    source_id          bigint      PRIMARY KEY REFERENCES source (id),
    version            bigint      NOT NULL,
    tokens             bytea       NOT NULL,
    renew_at           timestamptz NOT NULL,
    access_expires_at  timestamptz NOT NULL,
    refresh_expires_at timestamptz NOT NULL,
    refreshing_since   timestamptz,
    leased_until       timestamptz,
    next_try_at        timestamptz,
    failures           integer     NOT NULL DEFAULT 0,
    error              text,
    lost_at            timestamptz,
    warned_at          timestamptz,
    granted_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE INDEX source_grant_renew ON source_grant (renew_at) WHERE lost_at IS NULL;
COMMENT ON TABLE source_grant IS 'The OAuth tokens of a source whose admin signed in by browser. Zendesk ends a pair when it is renewed, so a pair is renewed once.';
COMMENT ON COLUMN source_grant.source_id IS 'The source.';
COMMENT ON COLUMN source_grant.version IS 'Number of the pair; only one pair can follow on another.';
COMMENT ON COLUMN source_grant.tokens IS 'Sealed access token, refresh token and scopes; readable only with the secret key.';
COMMENT ON COLUMN source_grant.renew_at IS 'When the pair is to be renewed: at nine tenths of the access token''s life.';
COMMENT ON COLUMN source_grant.access_expires_at IS 'When the access token ends.';
COMMENT ON COLUMN source_grant.refresh_expires_at IS 'When the refresh token ends: after that somebody has to sign in again.';
COMMENT ON COLUMN source_grant.refreshing_since IS 'Set before the first request that may have renewed this pair; still set after a crash, since Zendesk may have ended it then.';
COMMENT ON COLUMN source_grant.leased_until IS 'Until then one daemon is renewing it; the others wait.';
COMMENT ON COLUMN source_grant.next_try_at IS 'When a renewal that failed is tried again.';
COMMENT ON COLUMN source_grant.failures IS 'Failed renewals in a row.';
COMMENT ON COLUMN source_grant.error IS 'Why the last renewal failed; empty when it did not.';
COMMENT ON COLUMN source_grant.lost_at IS 'When Zendesk refused the refresh token: the source needs to be connected again.';
COMMENT ON COLUMN source_grant.warned_at IS 'When the log last told that the refresh token ends soon.';
COMMENT ON COLUMN source_grant.granted_at IS 'When the admin signed in.';
COMMENT ON COLUMN source_grant.updated_at IS 'When this row last changed.';

CREATE TABLE sign_in (
    state_digest bytea       PRIMARY KEY,
    workspace_id bigint      NOT NULL REFERENCES workspace (id),
    sealed       bytea,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    answered_at  timestamptz,
    outcome      jsonb
);
CREATE INDEX sign_in_expires ON sign_in (expires_at);
COMMENT ON TABLE sign_in IS 'Sign-ins by browser that were begun: any daemon of the deployment can receive the answer.';
COMMENT ON COLUMN sign_in.state_digest IS 'Keyed digest of the state, which goes to the browser and comes back; the state itself is sealed.';
COMMENT ON COLUMN sign_in.workspace_id IS 'The workspace.';
COMMENT ON COLUMN sign_in.sealed IS 'Sealed state, verifier, client and what is to be connected; emptied by the answer.';
COMMENT ON COLUMN sign_in.created_at IS 'When it was begun.';
COMMENT ON COLUMN sign_in.expires_at IS 'Until when an answer is taken.';
COMMENT ON COLUMN sign_in.answered_at IS 'When an answer came: a second one is refused.';
COMMENT ON COLUMN sign_in.outcome IS 'What became of it, for the command that waits.';
