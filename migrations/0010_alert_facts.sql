-- What alerts are judged by without reading all of it, and what is on its way with what it replaces.

ALTER TABLE push_run ADD COLUMN by_hand boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN push_run.by_hand IS 'An operator stopped it, so that nobody needs to be told.';

CREATE INDEX activation_due_since ON activation_due (workspace_id, activation_id, since, person_id);

COMMENT ON COLUMN delivery.written IS 'Last confirmed value of each target field that we wrote: {"field": {"v": value, "was": the one before, "at": time, "sent": time}}.';
COMMENT ON COLUMN delivery.pending IS 'Values that are on their way or of which nobody knows whether they arrived, by target field; tags and organizations likewise; sent: since when, and what stood there before. The next look settles it.';
