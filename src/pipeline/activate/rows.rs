//! The rows of an activation, page by page, each with what it wants.

use super::env::Env;
use super::organizations;
pub use super::page::{Page, Scope};
use crate::db;
use crate::db::activation_facts::{self, Span, These};
use crate::model::activation::{Rows, Target};
use crate::model::consent::Channel;
use crate::model::email::Email;
use crate::model::filter::Moment;
use crate::model::person::IdentityKind;
use crate::model::row::{Given, PersonFacts, RowFacts, Stay};
use crate::pipeline::apply::identity_subject;
use crate::pipeline::context::FlowError;
use crate::rules::activation::row::{Formed, address, lives};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Whose rows the next page has.
pub enum Head {
    /// People.
    People(Box<Heads>),
    /// Organizations: the rows themselves.
    Formed(Page),
}

/// People of a page, with where the next one begins.
pub struct Heads {
    whom: Whom,
    keys: Option<Vec<String>>,
    next: Option<Value>,
}

/// What rows are formed from.
pub enum Facts {
    /// Of people, as it was read: forming rows of it needs no database any more.
    People(Box<People>),
    /// Of organizations the rows themselves.
    Formed(Page),
}

/// What rows of people are formed from.
pub struct People {
    heads: Heads,
    known: Vec<PersonFacts>,
    suppressed: HashSet<i64>,
}

impl Head {
    /// Where the next page begins; None after the last.
    pub fn next(&self) -> Option<&Value> {
        match self {
            Head::People(heads) => heads.next.as_ref(),
            Head::Formed(page) => page.next.as_ref(),
        }
    }
}

impl Facts {
    /// The rows.
    pub fn form(self, env: &Env, moment: Moment) -> Page {
        match self {
            Facts::People(people) => form(env, *people, moment),
            Facts::Formed(page) => page,
        }
    }
}

/// The next rows, at most about so many.
pub async fn page(
    db: &mut PgConnection,
    env: &Env,
    scope: Scope<'_>,
    after: Option<&Value>,
    limit: usize,
    moment: Moment,
) -> Result<Page, FlowError> {
    let head = head(db, env, scope, after, limit, moment).await?;
    Ok(facts(db, env, head).await?.form(env, moment))
}

/// Reads whose rows come next.
pub async fn head(
    db: &mut PgConnection,
    env: &Env,
    scope: Scope<'_>,
    after: Option<&Value>,
    limit: usize,
    moment: Moment,
) -> Result<Head, FlowError> {
    if matches!(env.activation.rows, Rows::Query { .. }) {
        return Err(FlowError::State("rows of a query, which each run reads anew, cannot be read here".into()));
    }
    if env.activation.target == Target::Organizations {
        return Ok(Head::Formed(organizations::page(db, env, scope, after, limit, moment).await?));
    }
    let after = after.and_then(|after| after["person"].as_i64()).unwrap_or(0);
    let (among, keys) = match scope {
        Scope::All => (None, None),
        Scope::People(people) => (Some(people.to_vec()), None),
        Scope::Keys(keys) => (Some(people_of(db, env, keys).await?), Some(keys.to_vec())),
    };
    let span = Span { after, among: among.as_deref(), limit: limit.max(1) as i64 };
    let (whom, next) = whom(db, env, span).await?;
    let next = next.map(|person| json!({ "person": person }));
    Ok(Head::People(Box::new(Heads { whom, keys, next })))
}

/// Reads what their rows are formed from.
pub async fn facts(db: &mut PgConnection, env: &Env, head: Head) -> Result<Facts, FlowError> {
    let heads = match head {
        Head::People(heads) => *heads,
        Head::Formed(page) => return Ok(Facts::Formed(page)),
    };
    let these = These::new(&heads.whom.people);
    let known = activation_facts::people(db, env.workspace, env.source.id, these, &env.forming.needed).await?;
    let suppressed = suppressed(db, env, &known).await?;
    Ok(Facts::People(Box::new(People { heads, known, suppressed })))
}

/// The people whose rows these are, or were.
async fn people_of(db: &mut PgConnection, env: &Env, keys: &[String]) -> Result<Vec<i64>, FlowError> {
    let own = keys.iter().filter_map(|key| key.strip_prefix("person:")?.parse().ok());
    let mut people: BTreeSet<i64> = own.collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let given = activation_facts::delivered_to(db, env.workspace, env.id, &keys).await?;
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
        stays.push(activation_facts::stays(db, env.workspace, *audience, span).await?);
    }
    let written = &env.forming.needed.written;
    let mut given = activation_facts::delivered(db, env.workspace, env.id, span, written).await?;
    // A list that was cut is complete up to the person before its last one (who may have more rows in the ledger) or that one.
    let full = |length: usize| length as i64 == span.limit;
    let mut ends: Vec<i64> =
        stays.iter().filter(|list| full(list.len())).filter_map(|list| list.last()).map(|last| last.0).collect();
    if full(given.len()) {
        let (first, last) = (given.first().and_then(|row| row.person_id), given.last().and_then(|row| row.person_id));
        if first == last {
            let of_one: Vec<i64> = last.into_iter().collect();
            let span = Span { among: Some(&of_one), limit: i64::MAX, ..span };
            given = activation_facts::delivered(db, env.workspace, env.id, span, written).await?;
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
        stays.push(activation_facts::stays(db, env.workspace, *audience, span).await?);
    }
    Ok((Whom { people, stays, given }, end))
}

/// Forms rows of people.
fn form(env: &Env, facts: People, moment: Moment) -> Page {
    let People { heads: Heads { whom, keys, next }, known, suppressed } = facts;
    let (mut rows, mut withheld) = (Vec::with_capacity(whom.people.len()), 0);
    let mut known = known.into_iter().peekable();
    let mut stays: Vec<_> = whom.stays.iter().map(|list| list.iter().peekable()).collect();
    let mut given = whom.given.into_iter().peekable();
    for person in &whom.people {
        let of_person = |list: &mut std::iter::Peekable<std::slice::Iter<'_, (i64, Stay)>>| {
            list.next_if(|(id, _)| id == person).map(|(_, stay)| *stay)
        };
        // People who lie close together are read as a stretch: among them may be others, who make no row.
        while known.next_if(|known| known.id < *person).is_some() {}
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
        let mut taken = Vec::new();
        withheld += usize::from(is_withheld && env.forming.is_in(&facts));
        match env.forming.form(&row_key, &facts, is_withheld, moment.zone) {
            Formed::Row(row) => {
                if !others.is_empty() {
                    taken.push(row.record_id.clone());
                }
                rows.push(*row);
            }
            Formed::Withheld | Formed::Nothing => {}
        }
        // Rows of those who were merged into the person: their records are left behind, each once, unless the person has them
        // now.
        for other in others {
            if other.record_id.is_none() || taken.contains(&other.record_id) {
                continue;
            }
            taken.push(other.record_id.clone());
            let row_key = other.row_key.clone();
            let facts = RowFacts { given: Some(other), stays: vec![None; facts.stays.len()], ..RowFacts::default() };
            if let Formed::Row(row) = env.forming.form(&row_key, &facts, false, moment.zone) {
                rows.push(*row);
            }
        }
    }
    if let Some(keys) = keys {
        rows.retain(|row| keys.contains(&row.row_key));
    }
    Page { rows, withheld, next }
}

/// The person's own row in the ledger, and those of others who were merged into it. Its own is that of the record that lives, whosever
/// it was: what we wrote there stays known.
fn own_row(person: i64, mut ledger: Vec<Given>, facts: Option<&PersonFacts>) -> (Option<Given>, Vec<Given>) {
    let key = format!("person:{person}");
    let claim = |given: &Given| {
        let mut records = facts.into_iter().flat_map(|facts| &facts.records);
        let record = records.find(|(id, _)| Some(id) == given.record_id.as_ref());
        (record.is_some_and(|(_, status)| lives(status)), given.row_key == key, record.is_some())
    };
    let claims = ledger.iter().map(claim).enumerate().filter(|(_, claim)| *claim != (false, false, false));
    let own = claims.rev().max_by_key(|(_, claim)| *claim).map(|(at, _)| at);
    (own.map(|at| ledger.remove(at)), ledger)
}

/// People whose address on the channel of the activation must not be written to (C6).
pub(super) async fn suppressed(
    db: &mut PgConnection,
    env: &Env,
    people: &[PersonFacts],
) -> Result<HashSet<i64>, FlowError> {
    let Some(channel) = env.activation.consent else { return Ok(HashSet::new()) };
    if !activation_facts::has_suppressions(db, env.workspace).await? {
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
