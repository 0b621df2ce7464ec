//! What Zendesk has now of the records that are to be written or settled, read in bulk.

use crate::db::push_record::Record;
use crate::model::activation::{KeyKind, Target};
use crate::model::push::{Membership, Remote};
use crate::pipeline::context::FlowError;
use crate::rules::activation::diff::Terms;
use crate::zendesk::client::Client;
use crate::zendesk::push;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// What was found for a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Nobody.
    Nobody,
    /// The record.
    One(Box<Remote>),
    /// Several have its key.
    Several,
    /// Nobody has its key, but a value of this field that it would be created with belongs to somebody.
    Taken(&'static str),
}

/// What was found, by the records' places in their run.
#[derive(Debug, Default)]
pub struct Looked {
    /// For each record.
    pub seen: HashMap<i64, Seen>,
    /// Memberships of those whose organizations are wanted.
    pub memberships: Vec<Membership>,
}

/// How records are found.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The source's client.
    pub client: &'a Client,
    /// What is written.
    pub target: Target,
    /// The activation's key.
    pub key: &'a KeyKind,
    /// How its fields are written.
    pub terms: &'a Terms,
}

/// Reads what Zendesk has of these records: by their ids where they are known, by their keys otherwise.
pub async fn look(way: Way<'_>, records: &[Record]) -> Result<Looked, FlowError> {
    let mut looked = Looked::default();
    let (known, unknown): (Vec<&Record>, Vec<&Record>) = records.iter().partition(|record| record.record_id.is_some());
    find(way, &KeyKind::RecordId, &known, |record| record.record_id.clone(), &mut looked).await?;
    find(way, way.key, &unknown, |record| record.key_value.clone(), &mut looked).await?;
    others(way, &unknown, &mut looked).await?;
    if way.target == Target::Users {
        members(way, records, &mut looked).await?;
    }
    Ok(looked)
}

async fn find(
    way: Way<'_>,
    by: &KeyKind,
    records: &[&Record],
    value: impl Fn(&Record) -> Option<String>,
    looked: &mut Looked,
) -> Result<(), FlowError> {
    let values: BTreeSet<String> = records.iter().filter_map(|record| value(record)).collect();
    let values: Vec<String> = values.into_iter().collect();
    let found = if values.is_empty() { Vec::new() } else { push::find(way.client, way.target, by, &values).await? };
    let mut by_value: HashMap<&str, Vec<&Remote>> = HashMap::new();
    for found in &found {
        by_value.entry(&found.value).or_default().push(&found.remote);
    }
    for record in records {
        let remotes = value(record).and_then(|value| by_value.get(value.as_str()).cloned()).unwrap_or_default();
        let seen = match remotes.as_slice() {
            [] => Seen::Nobody,
            [one] => Seen::One(Box::new((*one).clone())),
            [one, rest @ ..] if rest.iter().all(|other| other.id == one.id) => Seen::One(Box::new((*one).clone())),
            _ => Seen::Several,
        };
        looked.seen.insert(record.seq, seen);
    }
    Ok(())
}

/// Before somebody is created: an address or external id that belongs to somebody else would make Zendesk change that one.
/// For one that was sent before it is found again so, where its key is not searched by yet.
async fn others(way: Way<'_>, records: &[&Record], looked: &mut Looked) -> Result<(), FlowError> {
    let address = if way.target == Target::Organizations { "name" } else { "email" };
    for (field, by) in [("external_id", KeyKind::ExternalId), (address, KeyKind::Email)] {
        let of = |record: &Record| record.wanted.values.get(field).and_then(Value::as_str).map(str::to_owned);
        let nobody: Vec<&Record> = records
            .iter()
            .copied()
            .filter(|record| way.terms.creates(&record.wanted) && looked.seen.get(&record.seq) == Some(&Seen::Nobody))
            .filter(|record| {
                of(record).is_some_and(|value| by != *way.key || record.key_value.as_deref() != Some(&value))
            })
            .collect();
        let mut found = Looked::default();
        find(way, &by, &nobody, of, &mut found).await?;
        for record in nobody {
            match found.seen.remove(&record.seq) {
                None | Some(Seen::Nobody) => {}
                Some(seen) if record.tries > 0 => _ = looked.seen.insert(record.seq, seen),
                Some(_) => _ = looked.seen.insert(record.seq, Seen::Taken(field)),
            }
        }
    }
    Ok(())
}

/// The organizations of those who are to join or leave some.
async fn members(way: Way<'_>, records: &[Record], looked: &mut Looked) -> Result<(), FlowError> {
    let wanting = records.iter().filter(|record| !record.wanted.organizations.is_empty());
    let mut users: Vec<String> = Vec::new();
    for record in wanting {
        if let Some(Seen::One(remote)) = looked.seen.get(&record.seq) {
            users.push(remote.id.clone());
        }
    }
    if users.is_empty() {
        return Ok(());
    }
    looked.memberships = push::memberships(way.client, &users).await?;
    for seen in looked.seen.values_mut() {
        let Seen::One(remote) = seen else { continue };
        if users.contains(&remote.id) {
            let own = looked.memberships.iter().filter(|membership| membership.user_id == remote.id);
            remote.organizations = Some(own.map(|membership| membership.organization_id.clone()).collect());
        }
    }
    Ok(())
}
