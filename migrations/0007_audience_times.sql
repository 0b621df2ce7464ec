-- Audiences: what time does to them is followed by its parts, and activities are found by type and time.

ALTER TABLE audience ADD COLUMN day_at timestamptz;
ALTER TABLE audience ALTER COLUMN rebuild_at DROP NOT NULL;
ALTER TABLE audience ALTER COLUMN due_at DROP NOT NULL;
COMMENT ON COLUMN audience.day_at IS 'The next beginning of a day, somewhere, that may change who is in; empty: none does. Then those are asked whose days begin or end to count.';
COMMENT ON COLUMN audience.rebuild_at IS 'When everybody is asked next because the definition is new, or what many have was removed; empty: not at all.';
COMMENT ON COLUMN audience.due_at IS 'When frames of minutes are followed next; empty: there are none.';

CREATE INDEX activity_type ON activity (workspace_id, type, occurred_at) INCLUDE (person_id);
