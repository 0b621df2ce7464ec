//! The rows of an activation, page by page, each with what it wants.

use super::env::Env;
use super::organizations;
pub use super::page::{Page, Scope};
use crate::db;
use crate::db::activation_facts::{self as facts, Span, These};
use crate::model::activation::{Rows, Target};
use crate::model::consent::Channel;
use crate::model::email::Email;
use crate::model::filter::Moment;
use crate::model::person::IdentityKind;
use crate::model::push::Row;
use crate::model::row::{Given, PersonFacts, RowFacts, Stay};
use crate::pipeline::apply::identity_subject;
use crate::pipeline::context::FlowError;
use crate::rules::activation::row::{Formed, address};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The next rows, at most about so many.
pub async fn page(
    db: &mut PgConnection,
    env: &Env,
    scope: Scope<'_>,
    after: Option<&Value>,
    limit: usize,
    moment: Moment,
) -> Result<Page, FlowError> {
    if matches!(env.activation.rows, Rows::Query { .. }) {
        return Err(FlowError::State("rows of a query, which each run reads anew, cannot be read here".into()));
    }
    if env.activation.target == Target::Organizations {
        return organizations::page(db, env, scope, after, limit, moment).await;
    }
    let after = after.and_then(|after| after["person"].as_i64()).unwrap_or(0);
    let among = match scope {
        Scope::All => None,
        Scope::People(people) => Some(people.to_vec()),
        Scope::Keys(keys) => Some(people_of(db, env, keys).await?),
    };
    let span = Span { after, among: among.as_deref(), limit: limit.max(1) as i64 };
    let (whom, next) = whom(db, env, span).await?;
    let (rows, withheld) = form(db, env, whom, moment).await?;
    let rows = match scope {
        Scope::Keys(keys) => rows.into_iter().filter(|row| keys.contains(&row.row_key)).collect(),
        _ => rows,
    };
    Ok(Page { rows, withheld, next: next.map(|person| json!({ "person": person })) })
}

/// The people whose rows these are, or were.
async fn people_of(db: &mut PgConnection, env: &Env, keys: &[String]) -> Result<Vec<i64>, FlowError> {
    let own = keys.iter().filter_map(|key| key.strip_prefix("person:")?.parse().ok());
    let mut people: BTreeSet<i64> = own.collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let given = facts::delivered_to(db, env.workspace, env.id, &keys).await?;
    people.extend(given.iter().filter_map(|given| given.person_id));
    Ok(people.into_iter().collect())
}

/// The people of a page: who ever was in the audiences, and to whom something was delivered.
struct Whom {
    people: Vec<i64>,
    stays: Vec<Vec<(i64, Stay)>>,
    given: Vec<Given>,
}

/// Answers them, and after whom the next page begins.
async fn whom(db: &mut PgConnection, env: &Env, span: Span<'_>) -> Result<(Whom, Option<i64>), FlowError> {
    let of_rows = env.forming.of_rows();
    let mut stays = Vec::with_capacity(env.audiences.len());
    for audience in &env.audiences[..of_rows] {
        stays.push(facts::stays(db, env.workspace, *audience, span).await?);
    }
    let mut given = facts::delivered(db, env.workspace, env.id, span).await?;
    // A list that was cut is complete up to the person before its last one (who may have more rows in the ledger) or that one.
    let full = |length: usize| length as i64 == span.limit;
    let mut ends: Vec<i64> =
        stays.iter().filter(|list| full(list.len())).filter_map(|list| list.last()).map(|last| last.0).collect();
    if full(given.len()) {
        let (first, last) = (given.first().and_then(|row| row.person_id), given.last().and_then(|row| row.person_id));
        if first == last {
            let of_one: Vec<i64> = last.into_iter().collect();
            given = facts::delivered(db, env.workspace, env.id, Span { among: Some(&of_one), limit: i64::MAX, ..span })
                .await?;
            ends.extend(last);
        } else {
            ends.extend(last.map(|last| last - 1));
        }
    }
    let end = ends.into_iter().min();
    let within = |person: i64| end.is_none_or(|end| person <= end);
    for list in &mut stays {
        list.truncate(list.partition_point(|(person, _)| within(*person)));
    }
    given.truncate(given.partition_point(|row| row.person_id.is_none_or(within)));
    let mut people: Vec<i64> =
        stays.iter().flatten().map(|(person, _)| *person).chain(given.iter().filter_map(|row| row.person_id)).collect();
    people.sort_unstable();
    people.dedup();
    for audience in &env.audiences[of_rows..] {
        let span = Span { after: 0, among: Some(&people), limit: i64::MAX };
        stays.push(facts::stays(db, env.workspace, *audience, span).await?);
    }
    Ok((Whom { people, stays, given }, end))
}

/// Forms the rows of these people. Answers them, and how many are withheld.
async fn form(db: &mut PgConnection, env: &Env, whom: Whom, moment: Moment) -> Result<(Vec<Row>, usize), FlowError> {
    let known = facts::people(db, env.workspace, env.source.id, These::new(&whom.people), &env.forming.needed).await?;
    let suppressed = suppressed(db, env, &known).await?;
    let (mut rows, mut withheld) = (Vec::with_capacity(whom.people.len()), 0);
    let mut known = known.into_iter().peekable();
    let mut stays: Vec<_> = whom.stays.iter().map(|list| list.iter().peekable()).collect();
    let mut given = whom.given.into_iter().peekable();
    for person in &whom.people {
        let of_person = |list: &mut std::iter::Peekable<std::slice::Iter<'_, (i64, Stay)>>| {
            list.next_if(|(id, _)| id == person).map(|(_, stay)| *stay)
        };
        let mut facts = RowFacts {
            person: known.next_if(|known| known.id == *person),
            stays: stays.iter_mut().map(of_person).collect(),
            ..RowFacts::default()
        };
        let mut ledger = Vec::new();
        while let Some(row) = given.next_if(|row| row.person_id == Some(*person)) {
            ledger.push(row);
        }
        let (own, others) = own_row(*person, ledger, facts.person.as_ref());
        facts.given = own;
        let row_key = facts.given.as_ref().map_or_else(|| format!("person:{person}"), |given| given.row_key.clone());
        let is_withheld = env.forming.is_without_consent(&facts) || suppressed.contains(person);
        let mut taken = HashSet::new();
        match env.forming.form(&row_key, &facts, is_withheld, moment.zone) {
            Formed::Row(row) => {
                taken.insert(row.record_id.clone());
                rows.push(*row);
            }
            Formed::Withheld => withheld += 1,
            Formed::Nothing => {}
        }
        // Rows of those who were merged into the person: their records are left behind, each once, unless the person has them
        // now.
        for other in others {
            if other.record_id.is_none() || !taken.insert(other.record_id.clone()) {
                continue;
            }
            let row_key = other.row_key.clone();
            let facts = RowFacts { given: Some(other), stays: vec![None; facts.stays.len()], ..RowFacts::default() };
            if let Formed::Row(row) = env.forming.form(&row_key, &facts, false, moment.zone) {
                rows.push(*row);
            }
        }
    }
    Ok((rows, withheld))
}

/// The person's own row in the ledger, and those of others who were merged into it. Where it has none, the row of another whose record
/// the person has now becomes its own: what we wrote stays known.
fn own_row(person: i64, mut ledger: Vec<Given>, facts: Option<&PersonFacts>) -> (Option<Given>, Vec<Given>) {
    let key = format!("person:{person}");
    let has = |given: &Given| {
        let records = facts.into_iter().flat_map(|facts| &facts.records);
        given.record_id.is_some() && records.map(|(id, _)| Some(id)).any(|id| id == given.record_id.as_ref())
    };
    let own = ledger.iter().position(|given| given.row_key == key).or_else(|| ledger.iter().position(has));
    (own.map(|at| ledger.remove(at)), ledger)
}

/// People whose address on the channel of the activation must not be written to (C6).
pub(super) async fn suppressed(
    db: &mut PgConnection,
    env: &Env,
    people: &[PersonFacts],
) -> Result<HashSet<i64>, FlowError> {
    let Some(channel) = env.activation.consent else { return Ok(HashSet::new()) };
    if !facts::has_suppressions(db, env.workspace).await? {
        return Ok(HashSet::new());
    }
    let mut by_digest: HashMap<Vec<u8>, Vec<i64>> = HashMap::new();
    for person in people {
        let Some(subject) = person.system[address(channel)].as_deref().and_then(|text| subject(channel, text)) else {
            continue;
        };
        for digest in env.sealer.subject_hmacs(&subject) {
            by_digest.entry(digest.to_vec()).or_default().push(person.id);
        }
    }
    let digests: Vec<Vec<u8>> = by_digest.keys().cloned().collect();
    let found = db::tombstone::suppressed(db, env.workspace, &digests).await?;
    let of_channel = found.into_iter().filter(|(of, _)| of == channel.as_str());
    Ok(of_channel.filter_map(|(_, digest)| by_digest.remove(&digest)).flatten().collect())
}

/// The subject of an address, as suppressions know it.
fn subject(channel: Channel, text: &str) -> Option<String> {
    match channel {
        Channel::Email => Some(identity_subject(IdentityKind::Email, Email::parse(text).ok()?.key())),
        Channel::Sms => Some(identity_subject(IdentityKind::Phone, text)),
    }
}
