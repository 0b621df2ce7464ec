-- What is known of our webhook in Zendesk: looked at by the clock, as exports are read by theirs.

CREATE TABLE webhook_watch (
    source_id       bigint      PRIMARY KEY REFERENCES source (id),
    due_at          timestamptz NOT NULL,
    checked_at      timestamptz,
    problem         text,
    remedy          text,
    since           timestamptz,
    repaired        text,
    repaired_at     timestamptz,
    repairs         integer     NOT NULL DEFAULT 0,
    repairs_since   timestamptz,
    log_through     timestamptz,
    arrived         bigint      NOT NULL DEFAULT 0,
    failed          bigint      NOT NULL DEFAULT 0,
    held            bigint      NOT NULL DEFAULT 0,
    recovered       bigint      NOT NULL DEFAULT 0,
    rotating_since  timestamptz
);
COMMENT ON TABLE webhook_watch IS 'Our webhook in Zendesk as it was last found, and when it is looked at next.';
COMMENT ON COLUMN webhook_watch.source_id IS 'The source whose webhook it is.';
COMMENT ON COLUMN webhook_watch.due_at IS 'When it is looked at next.';
COMMENT ON COLUMN webhook_watch.checked_at IS 'When it was last looked at.';
COMMENT ON COLUMN webhook_watch.problem IS 'What is wrong with it and not repaired; empty when nothing is.';
COMMENT ON COLUMN webhook_watch.remedy IS 'What to do about it.';
COMMENT ON COLUMN webhook_watch.since IS 'Since when that is known.';
COMMENT ON COLUMN webhook_watch.repaired IS 'What was last found wrong and repaired.';
COMMENT ON COLUMN webhook_watch.repaired_at IS 'When that was.';
COMMENT ON COLUMN webhook_watch.repairs IS 'Repairs since repairs_since: who undoes each other''s changes all the time must stop.';
COMMENT ON COLUMN webhook_watch.repairs_since IS 'Since when repairs are counted; an hour later they are counted anew.';
COMMENT ON COLUMN webhook_watch.log_through IS 'How far Zendesk''s log of deliveries was read: the time of the latest line.';
COMMENT ON COLUMN webhook_watch.arrived IS 'Deliveries that arrived, by that log.';
COMMENT ON COLUMN webhook_watch.failed IS 'Deliveries that failed.';
COMMENT ON COLUMN webhook_watch.held IS 'Deliveries that Zendesk held back, for its circuit breaker or a limit.';
COMMENT ON COLUMN webhook_watch.recovered IS 'Deliveries that failed and were taken from that log, after their signature was checked.';
COMMENT ON COLUMN webhook_watch.rotating_since IS 'Set while its signing secret is being replaced: what does not match is then not refused but asked for again.';

INSERT INTO webhook_watch (source_id, due_at) SELECT id, created_at FROM source WHERE kind = 'zendesk';

COMMENT ON COLUMN job.kind IS 'apply, poll, prune or watch.';
