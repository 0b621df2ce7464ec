-- What an operator's query may read: views of the documented columns of one workspace, for a role that may read nothing else.

CREATE SCHEMA deskbridge_read;
COMMENT ON SCHEMA deskbridge_read IS 'What queries of activations read: the documented columns, of the workspace that the setting deskbridge.workspace names.';

CREATE VIEW deskbridge_read.person WITH (security_barrier) AS
SELECT id, first_name, last_name, email, phone, locale, time_zone, external_id, fields, email_consent, sms_consent, created_at,
       updated_at, archived_at
FROM person WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.person IS 'A customer.';

CREATE VIEW deskbridge_read.person_source WITH (security_barrier) AS
SELECT source_id, record_id, person_id, organization_record_id, name, status, record_created_at, record_updated_at
FROM person_source WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.person_source IS 'A record of a source that stands for a person.';

CREATE VIEW deskbridge_read.person_alias WITH (security_barrier) AS
SELECT alias_id, person_id, created_at
FROM person_alias WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.person_alias IS 'The former id of a person who was merged into another.';

CREATE VIEW deskbridge_read.identity WITH (security_barrier) AS
SELECT kind, value, person_id, source_id, verified, first_seen_at
FROM identity WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.identity IS 'A value that finds a person.';

CREATE VIEW deskbridge_read.consent_event WITH (security_barrier) AS
SELECT id, person_id, channel, action, evidence, source_id, occurred_at, recorded_at
FROM consent_event WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.consent_event IS 'A line of the consent ledger.';

CREATE VIEW deskbridge_read.organization WITH (security_barrier) AS
SELECT id, source_id, record_id, name, external_id, domains, fields, record_created_at, record_updated_at, deleted_at, created_at,
       updated_at
FROM organization WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.organization IS 'A company or group of customers.';

CREATE VIEW deskbridge_read.organization_member WITH (security_barrier) AS
SELECT person_id, organization_id, source_id
FROM organization_member WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.organization_member IS 'A person in an organization.';
COMMENT ON COLUMN deskbridge_read.organization_member.person_id IS 'The person.';
COMMENT ON COLUMN deskbridge_read.organization_member.organization_id IS 'The organization.';
COMMENT ON COLUMN deskbridge_read.organization_member.source_id IS 'The source that says so.';

CREATE VIEW deskbridge_read.agent WITH (security_barrier) AS
SELECT source_id, record_id, name, role, active
FROM agent WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.agent IS 'An agent or admin of a Zendesk account.';

CREATE VIEW deskbridge_read.source WITH (security_barrier) AS
SELECT id, name, kind
FROM source WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.source IS 'A connected account.';

CREATE VIEW deskbridge_read.ticket WITH (security_barrier) AS
SELECT source_id, id, person_id, requester_record_id, submitter_record_id, assignee_record_id, organization_record_id, subject, status,
       priority, type, channel, group_id, brand_id, form_id, custom_status_id, external_id, tags, fields, is_public, created_at,
       updated_at, deleted_at, rating, rating_comment, rating_at
FROM ticket WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.ticket IS 'A ticket as it is now.';

CREATE VIEW deskbridge_read.activity WITH (security_barrier) AS
SELECT id, occurred_at, person_id, source_id, type, ticket_id, actor_record_id, attributes, message
FROM activity WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.activity IS 'Something that a person did or that happened to their ticket.';

CREATE VIEW deskbridge_read.activity_rollup WITH (security_barrier) AS
SELECT person_id, type, first_at, last_at, total
FROM activity_rollup WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.activity_rollup IS 'First, last and count of an activity type of a person.';

CREATE VIEW deskbridge_read.support_summary WITH (security_barrier) AS
SELECT person_id, open_tickets, tickets_total, first_ticket_at, last_ticket_at, last_ticket_subject, last_ticket_status, last_rating,
       last_rating_at, good_ratings, bad_ratings
FROM support_summary WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.support_summary IS 'Tickets and ratings of a person.';
COMMENT ON COLUMN deskbridge_read.support_summary.person_id IS 'The person.';
COMMENT ON COLUMN deskbridge_read.support_summary.open_tickets IS 'Tickets that are new, open, pending or on hold.';
COMMENT ON COLUMN deskbridge_read.support_summary.tickets_total IS 'All tickets that are not deleted.';
COMMENT ON COLUMN deskbridge_read.support_summary.first_ticket_at IS 'When the first was opened.';
COMMENT ON COLUMN deskbridge_read.support_summary.last_ticket_at IS 'When the last was opened.';
COMMENT ON COLUMN deskbridge_read.support_summary.last_ticket_subject IS 'Subject of the last.';
COMMENT ON COLUMN deskbridge_read.support_summary.last_ticket_status IS 'Status of the last.';
COMMENT ON COLUMN deskbridge_read.support_summary.last_rating IS 'The last rating that was given: good or bad.';
COMMENT ON COLUMN deskbridge_read.support_summary.last_rating_at IS 'When it was given.';
COMMENT ON COLUMN deskbridge_read.support_summary.good_ratings IS 'Tickets rated good.';
COMMENT ON COLUMN deskbridge_read.support_summary.bad_ratings IS 'Tickets rated bad.';

CREATE VIEW deskbridge_read.audience WITH (security_barrier) AS
SELECT id, name, title
FROM audience WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.audience IS 'An audience.';

CREATE VIEW deskbridge_read.audience_member WITH (security_barrier) AS
SELECT audience_id, person_id, entered_at, exited_at
FROM audience_member WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.audience_member IS 'A stay of a person in an audience.';

CREATE VIEW deskbridge_read.field_def WITH (security_barrier) AS
SELECT source_id, entity, key, type, title, options, active
FROM field_def WHERE workspace_id = (SELECT current_setting('deskbridge.workspace')::bigint);
COMMENT ON VIEW deskbridge_read.field_def IS 'A custom field.';

-- What a column says it is does not depend on who reads it.
DO $$
DECLARE
    told record;
BEGIN
    FOR told IN
        SELECT v.relname, a.attname, col_description(b.attrelid, b.attnum) AS words
        FROM pg_class v
        JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
        JOIN pg_attribute b ON b.attrelid = to_regclass(v.relname::text) AND b.attname = a.attname
        WHERE v.relnamespace = 'deskbridge_read'::regnamespace AND col_description(b.attrelid, b.attnum) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN deskbridge_read.%I.%I IS %L', told.relname, told.attname, told.words);
    END LOOP;
END
$$;

-- Who may not create roles migrates all the same: applying an activation with a query then tells what an admin has to run.
DO $$
BEGIN
    IF to_regrole('deskbridge_reader') IS NULL THEN
        CREATE ROLE deskbridge_reader NOLOGIN;
    END IF;
EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
    RAISE NOTICE 'the role deskbridge_reader was not made here';
END
$$;
DO $$
BEGIN
    IF to_regrole('deskbridge_reader') IS NULL THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA deskbridge_read TO deskbridge_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA deskbridge_read TO deskbridge_reader;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT deskbridge_reader TO CURRENT_USER;
    END IF;
EXCEPTION WHEN insufficient_privilege OR unique_violation THEN
    RAISE NOTICE 'the role deskbridge_reader cannot be taken on here';
END
$$;

CREATE TABLE query_row (
    workspace_id  bigint NOT NULL,
    run_id        bigint NOT NULL,
    row_key       text   NOT NULL COLLATE "C",
    activation_id bigint NOT NULL,
    columns       jsonb,
    fault         text,
    PRIMARY KEY (workspace_id, run_id, row_key)
);
COMMENT ON TABLE query_row IS 'Rows that the query of an activation gave, while a run is planned: they stay the same from page to page, and go when it is.';
COMMENT ON COLUMN query_row.workspace_id IS 'The workspace.';
COMMENT ON COLUMN query_row.run_id IS 'The run.';
COMMENT ON COLUMN query_row.row_key IS 'The row: person:ID, organization:ID, key:VALUE, or nokey:N for the N-th row where it has no key.';
COMMENT ON COLUMN query_row.activation_id IS 'Its activation.';
COMMENT ON COLUMN query_row.columns IS 'The row as JSON; empty when it has a fault.';
COMMENT ON COLUMN query_row.fault IS 'Why it cannot be used: duplicate_key, no_key, too_large, bad_value.';
