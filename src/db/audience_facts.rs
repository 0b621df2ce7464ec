//! Everything about one person that a filter may ask about, across the tables of a person. Reads only.

use super::Result;
use crate::model::consent::ConsentState;
use crate::model::facts::{Facts, OrganizationFacts, TicketFacts};
use crate::model::field::SystemField;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// Loads it; None when the person is not there, or archived.
pub async fn load(db: &mut PgConnection, workspace_id: i64, person_id: i64) -> Result<Option<Facts>> {
    let person = sqlx::query("SELECT * FROM person WHERE workspace_id = $1 AND id = $2 AND archived_at IS NULL")
        .bind(workspace_id)
        .bind(person_id)
        .fetch_optional(&mut *db)
        .await?;
    let Some(person) = person else { return Ok(None) };
    let mut facts = Facts {
        fields: object(&person, "fields"),
        created_at: person.get("created_at"),
        email_consent: ConsentState::parse(person.get("email_consent")).unwrap_or_default(),
        sms_consent: ConsentState::parse(person.get("sms_consent")).unwrap_or_default(),
        ..Facts::default()
    };
    for field in SystemField::ALL {
        facts.system[field] = person.get(field.as_str());
    }
    let organizations = sqlx::query(
        "SELECT DISTINCT o.id, o.name, o.external_id, o.domains, o.fields FROM organization_member m
         JOIN organization o ON o.workspace_id = m.workspace_id AND o.id = m.organization_id
         WHERE m.workspace_id = $1 AND m.person_id = $2",
    );
    let organizations = organizations.bind(workspace_id).bind(person_id).fetch_all(&mut *db).await?;
    facts.organizations = organizations.iter().map(organization).collect();
    let tickets = sqlx::query("SELECT * FROM ticket WHERE workspace_id = $1 AND person_id = $2 AND deleted_at IS NULL");
    facts.tickets = tickets.bind(workspace_id).bind(person_id).fetch_all(&mut *db).await?.iter().map(ticket).collect();
    let activities =
        sqlx::query("SELECT type, occurred_at, attributes FROM activity WHERE workspace_id = $1 AND person_id = $2");
    let activities = activities.bind(workspace_id).bind(person_id).fetch_all(&mut *db).await?;
    facts.activities =
        activities.iter().map(|row| (row.get("type"), row.get("occurred_at"), object(row, "attributes"))).collect();
    facts.rollups = sqlx::query_as(
        "SELECT type, first_at, last_at FROM activity_rollup WHERE workspace_id = $1 AND person_id = $2",
    )
    .bind(workspace_id)
    .bind(person_id)
    .fetch_all(&mut *db)
    .await?;
    facts.audiences = super::audience_member::names(db, workspace_id, person_id).await?.into_iter().collect();
    Ok(Some(facts))
}

fn object(row: &PgRow, column: &str) -> Map<String, Value> {
    row.get::<Json<Map<String, Value>>, _>(column).0
}

fn organization(row: &PgRow) -> OrganizationFacts {
    OrganizationFacts {
        name: row.get("name"),
        external_id: row.get("external_id"),
        domains: row.get("domains"),
        fields: object(row, "fields"),
    }
}

fn ticket(row: &PgRow) -> TicketFacts {
    TicketFacts {
        id: row.get("id"),
        subject: row.get("subject"),
        status: row.get("status"),
        priority: row.get("priority"),
        kind: row.get("type"),
        channel: row.get("channel"),
        rating: row.get("rating"),
        rating_at: row.get("rating_at"),
        brand: row.get("brand_id"),
        group: row.get("group_id"),
        tags: row.get("tags"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        fields: object(row, "fields"),
    }
}
