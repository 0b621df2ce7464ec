//! Rows that a query gave, formed page by page: each with what it wants, or with what is wrong with it.

use super::env::Env;
use super::query;
use super::rows::{Page, suppressed};
use super::stored::ActivationError;
use crate::db::activation_facts::{self as facts, Span, These};
use crate::db::activation_organizations::organizations;
use crate::db::push_run::Run;
use crate::db::query_rows;
use crate::model::filter::Moment;
use crate::model::push::{Fault, Row};
use crate::model::query::{Kept, RowFault};
use crate::model::record::digest;
use crate::model::row::{Given, OrganizationRow, PersonFacts, RowFacts, Stay};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::query::{columns_of, row_fault};
use crate::rules::activation::row::Formed;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The next rows of a run: those that the query gave, then those that it gives no more. The run's cursor tells how far they are.
pub async fn page(
    db: &mut PgConnection,
    env: &Env,
    run: &Run,
    keys: Option<&[String]>,
    limit: usize,
    moment: Moment,
) -> Result<Page, FlowError> {
    let cursor = run.cursor.clone().unwrap_or_default();
    let (gone, after) = match cursor["gone"].as_str() {
        Some(after) => (true, after),
        None => (false, cursor["after"].as_str().unwrap_or_default()),
    };
    let rows: Vec<Kept> = if gone {
        let of_run = (run.id, run.activation_id);
        let gone = query_rows::vanished(db, env.workspace, of_run, keys, after, limit as i64).await?;
        gone.into_iter().map(absent).collect()
    } else {
        query_rows::page(db, env.workspace, run.id, after, limit as i64).await?
    };
    let last = rows.last().filter(|_| rows.len() == limit).map(|last| last.row_key.clone());
    let next = match (gone, last) {
        (true, last) => last.map(|last| ("gone", last)),
        (false, Some(last)) => Some(("after", last)),
        (false, None) => Some(("gone", String::new())),
    };
    let mut page = form(db, env, rows, moment).await?;
    page.next = next.map(|(what, after)| {
        let mut cursor = cursor.clone();
        cursor[what] = after.into();
        cursor
    });
    if page.next.is_none() {
        query_rows::forget(db, env.workspace, run.id).await?;
    }
    Ok(page)
}

/// The rows of these keys, by asking the query for them now.
pub async fn again(
    ctx: &Context,
    db: &mut PgConnection,
    env: &Env,
    row_keys: &[String],
    moment: Moment,
) -> Result<Page, ActivationError> {
    let mut rows = query::again(ctx, db, &env.activation, env.workspace, row_keys).await?;
    let found: HashSet<String> = rows.iter().map(|row| row.row_key.clone()).collect();
    let missing = row_keys.iter().filter(|key| !found.contains(*key)).cloned();
    // Rows without a key cannot be asked for: they stay as they were until all rows are looked at.
    rows.extend(missing.map(|key| match key.starts_with("nokey:") {
        true => Kept { row_key: key, columns: None, fault: Some(RowFault::NoKey) },
        false => absent(key),
    }));
    Ok(form(db, env, rows, moment).await?)
}

fn absent(row_key: String) -> Kept {
    Kept { row_key, columns: None, fault: None }
}

/// What is known of the rows of a page.
struct Known {
    given: HashMap<String, Given>,
    people: HashMap<i64, PersonFacts>,
    organizations: HashMap<i64, OrganizationRow>,
    stays: Vec<HashMap<i64, Stay>>,
    suppressed: HashSet<i64>,
}

async fn known(db: &mut PgConnection, env: &Env, rows: &[Kept]) -> Result<Known, FlowError> {
    let keys: Vec<&str> = rows.iter().map(|row| row.row_key.as_str()).collect();
    let given = facts::delivered_to(db, env.workspace, env.id, &keys).await?;
    let numbers = |of: fn(&str) -> Option<i64>| keys.iter().filter_map(|key| of(key)).collect::<BTreeSet<i64>>();
    let ids: Vec<i64> = numbers(person_of).into_iter().collect();
    let people = match ids.is_empty() {
        true => Vec::new(),
        false => facts::people(db, env.workspace, env.source.id, These::new(&ids), &env.forming.needed).await?,
    };
    let suppressed = suppressed(db, env, &people).await?;
    let mut stays = Vec::new();
    for audience in env.audiences.iter() {
        let span = Span { after: 0, among: Some(&ids), limit: i64::MAX };
        stays.push(facts::stays(db, env.workspace, *audience, span).await?.into_iter().collect());
    }
    let ours: Vec<i64> = numbers(organization_of).into_iter().collect();
    let span = Span { after: 0, among: Some(&ours), limit: i64::MAX };
    let organizations = match ours.is_empty() {
        true => Vec::new(),
        false => organizations(db, env.workspace, env.source.id, span, &env.forming.needed).await?,
    };
    Ok(Known {
        given: given.into_iter().map(|given| (given.row_key.clone(), given)).collect(),
        people: people.into_iter().map(|person| (person.id, person)).collect(),
        organizations: organizations.into_iter().filter_map(|(id, organization)| Some((id, organization?))).collect(),
        stays,
        suppressed,
    })
}

fn person_of(row_key: &str) -> Option<i64> {
    row_key.strip_prefix("person:")?.parse().ok()
}

fn organization_of(row_key: &str) -> Option<i64> {
    row_key.strip_prefix("organization:")?.parse().ok()
}

async fn form(db: &mut PgConnection, env: &Env, rows: Vec<Kept>, moment: Moment) -> Result<Page, FlowError> {
    let mut known = known(db, env, &rows).await?;
    let mut page = Page::default();
    for row in rows {
        let (person, organization) = (person_of(&row.row_key), organization_of(&row.row_key));
        let mut facts = RowFacts {
            person: person.and_then(|id| known.people.remove(&id)),
            organization: organization.and_then(|id| known.organizations.remove(&id)),
            stays: known.stays.iter().map(|of| person.and_then(|id| of.get(&id).copied())).collect(),
            columns: row.columns.as_deref().and_then(columns_of).unwrap_or_default(),
            given: known.given.remove(&row.row_key),
        };
        let is_gone =
            person.is_some() && facts.person.is_none() || organization.is_some() && facts.organization.is_none();
        let fault = match row.fault {
            Some(fault) => Some(row_fault(fault)),
            None => (is_gone && facts.given.is_none() && row.columns.is_some()).then(|| absent_fault(person.is_some())),
        };
        if let Some(fault) = fault {
            page.rows.push(faulty(row.row_key, person, facts.given, fault));
            continue;
        }
        if is_gone {
            // Archived, deleted or merged: what was delivered is left behind, and nothing else is wanted.
            facts.columns.clear();
        }
        let withheld =
            env.forming.is_without_consent(&facts) || person.is_some_and(|id| known.suppressed.contains(&id));
        match env.forming.form(&row.row_key, &facts, withheld, moment.zone) {
            Formed::Row(row) => page.rows.push(*row),
            Formed::Withheld => page.withheld += 1,
            Formed::Nothing => {}
        }
    }
    Ok(page)
}

/// Why a row is none that can be written though its key is well.
fn absent_fault(is_person: bool) -> Fault {
    match is_person {
        true => Fault::new("no_person", "there is no such person, or the person is archived"),
        false => Fault::new("no_organization", "the source has no such organization, or it is deleted"),
    }
}

/// A row that cannot be used, for the report.
fn faulty(row_key: String, person_id: Option<i64>, given: Option<Given>, fault: Fault) -> Row {
    let digest = digest(&(&fault, &row_key), 2);
    let last = given.map(|given| given.digest);
    Row { row_key, person_id, record_id: None, key_value: None, wanted: Err(fault), digest, last }
}
