-- The request budgets of Zendesk accounts, shared by all daemons and commands.

CREATE TABLE rate_budget (
    source_id     bigint      NOT NULL REFERENCES source (id),
    budget        text        NOT NULL,
    key           text        NOT NULL DEFAULT '',
    state         jsonb       NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (source_id, budget, key)
) WITH (fillfactor = 50);
COMMENT ON TABLE rate_budget IS 'How much of each request budget of an account is used, by all processes together; one row is changed by one process at a time.';
COMMENT ON COLUMN rate_budget.source_id IS 'The source whose account it is.';
COMMENT ON COLUMN rate_budget.budget IS 'Which budget: requests, incremental, webhooks … (one table of them: src/zendesk/budget.rs).';
COMMENT ON COLUMN rate_budget.key IS 'Whose, where each record has a budget of its own: an id, or a digest of what identifies it; empty for the account''s.';
COMMENT ON COLUMN rate_budget.state IS 'What was used and when, who holds how many requests, the account''s limit and windows as its headers told.';
COMMENT ON COLUMN rate_budget.updated_at IS 'When it last changed; rows of single records that are older than an hour are pruned.';
