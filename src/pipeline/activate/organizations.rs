//! Rows of organizations: the organizations of the people of the audiences.

use super::env::Env;
use super::page::{Page, Scope};
use crate::db::activation_facts::{Span, delivered_to};
use crate::db::activation_organizations::{of_people, organizations, stays};
use crate::model::filter::Moment;
use crate::model::push::Row;
use crate::model::row::{OrganizationRow, RowFacts, Stay};
use crate::pipeline::context::FlowError;
use crate::rules::activation::row::Formed;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::HashMap;

/// What rows of organizations are called; their number in the CDP follows.
const PREFIX: &str = "organization:";

/// The next rows: of all organizations of the source, of those that people belong to or left, or of those with these keys.
/// Organizations stay in the CDP when they are deleted in the source, so that their rows come by here, too.
pub(super) async fn page(
    db: &mut PgConnection,
    env: &Env,
    scope: Scope<'_>,
    after: Option<&Value>,
    limit: usize,
    moment: Moment,
) -> Result<Page, FlowError> {
    let among = match scope {
        Scope::All => None,
        Scope::People(people) => Some(of_people(db, env.workspace, env.source.id, people).await?),
        Scope::Keys(keys) => Some(keys.iter().filter_map(|key| key.strip_prefix(PREFIX)?.parse().ok()).collect()),
    };
    let after = after.and_then(|after| after["organization"].as_i64()).unwrap_or(0);
    let span = Span { after, among: among.as_deref(), limit: limit.max(1) as i64 };
    let found = organizations(db, env.workspace, env.source.id, span, &env.forming.needed).await?;
    let next = found.last().filter(|_| found.len() as i64 == span.limit).map(|last| json!({ "organization": last.0 }));
    Ok(Page { rows: form(db, env, found, moment).await?, withheld: 0, next })
}

/// Forms the rows of these organizations. Who had nothing to do with the audiences, and was never written, makes none.
async fn form(
    db: &mut PgConnection,
    env: &Env,
    found: Vec<(i64, Option<OrganizationRow>)>,
    moment: Moment,
) -> Result<Vec<Row>, FlowError> {
    let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
    let mut in_audiences: Vec<HashMap<i64, Stay>> = Vec::with_capacity(env.audiences.len());
    for audience in env.audiences.iter() {
        let of_audience = stays(db, env.workspace, env.source.id, *audience, &ids).await?;
        in_audiences.push(of_audience.into_iter().collect());
    }
    let keys: Vec<String> = ids.iter().map(|id| format!("{PREFIX}{id}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let given = delivered_to(db, env.workspace, env.id, &keys).await?;
    let mut given: HashMap<String, _> = given.into_iter().map(|given| (given.row_key.clone(), given)).collect();
    let mut rows = Vec::new();
    for ((id, organization), row_key) in found.into_iter().zip(keys) {
        let facts = RowFacts {
            organization,
            stays: in_audiences.iter().map(|of_audience| of_audience.get(&id).copied()).collect(),
            given: given.remove(row_key),
            ..RowFacts::default()
        };
        // Nobody consents for an organization: none is withheld.
        if let Formed::Row(row) = env.forming.form(row_key, &facts, false, moment.zone) {
            rows.push(*row);
        }
    }
    Ok(rows)
}
