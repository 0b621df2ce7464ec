//! An organization and the way Zendesk writes one.
use super::catalog::FieldDef;
use super::user::FieldMap;
use crate::time::Stamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An organization, alive or deleted.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: i64,
    /// Its place in the order of changes.
    pub seq: u64,
    /// Its name, unique without regard to case.
    pub name: String,
    /// The customer's own id for it.
    pub external_id: Option<String>,
    /// Domains whose users join by themselves.
    pub domain_names: Vec<String>,
    /// Free text.
    pub details: Option<String>,
    /// Free text.
    pub notes: Option<String>,
    /// The group its tickets go to.
    pub group_id: Option<i64>,
    /// Tags.
    pub tags: Vec<String>,
    /// Custom fields that have a value, by key.
    pub fields: BTreeMap<String, Value>,
    /// Whether members see each other's tickets.
    pub shared_tickets: bool,
    /// Whether members comment on each other's tickets.
    pub shared_comments: bool,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
    /// When it was deleted.
    pub deleted_at: Option<Stamp>,
}

/// An organization as REST and the export write one.
#[derive(Serialize)]
pub struct OrganizationView<'a> {
    url: String,
    id: i64,
    name: &'a str,
    shared_tickets: bool,
    shared_comments: bool,
    external_id: Option<&'a str>,
    created_at: Stamp,
    updated_at: Stamp,
    domain_names: &'a [String],
    details: Option<&'a str>,
    notes: Option<&'a str>,
    group_id: Option<i64>,
    tags: &'a [String],
    organization_fields: FieldMap<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Option<Stamp>>,
}

impl Organization {
    /// The organization as Zendesk writes one; an export also says when it was deleted.
    pub fn view<'a>(&'a self, host: &str, defs: &'a [FieldDef], export: bool) -> OrganizationView<'a> {
        OrganizationView {
            url: format!("{host}/api/v2/organizations/{}.json", self.id),
            id: self.id,
            name: &self.name,
            shared_tickets: self.shared_tickets,
            shared_comments: self.shared_comments,
            external_id: self.external_id.as_deref(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            domain_names: &self.domain_names,
            details: self.details.as_deref(),
            notes: self.notes.as_deref(),
            group_id: self.group_id,
            tags: &self.tags,
            organization_fields: FieldMap { defs, values: &self.fields },
            deleted_at: export.then_some(self.deleted_at),
        }
    }
}
