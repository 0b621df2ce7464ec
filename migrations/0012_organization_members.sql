-- The members of an organization are found without reading everybody: rows of organizations need them, and so does each change of one.

CREATE INDEX person_source_organization ON person_source (workspace_id, source_id, organization_record_id)
    WHERE organization_record_id IS NOT NULL;
