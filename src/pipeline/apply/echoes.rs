//! Echoes: what a batch brings back of our own writing, taken out before policies decide.

use super::env::Env;
use crate::db;
use crate::model::person::{NameGiven, PersonRecord};
use crate::rules::activation::echo::{Ours, strip};
use crate::rules::directory::Directory;
use crate::zendesk::decode::person_key;
use sqlx::PgConnection;
use std::collections::HashMap;

/// Records as they are to be applied, by their place, where something of them is ours. A name of ours is noted as the one that
/// was last seen.
pub async fn strip_echoes(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[&PersonRecord],
    directory: &mut Directory,
) -> db::Result<HashMap<usize, PersonRecord>> {
    let people: Vec<Option<i64>> = records.iter().map(|record| whose(record, env, directory)).collect();
    let ids: Vec<&str> = records.iter().map(|record| record.record_id.as_str()).collect();
    let known: Vec<i64> = people.iter().flatten().copied().collect();
    let given = db::delivery::of_records(db, env.source.workspace_id, env.source.id, &ids, &known).await?;
    let mut by_record: HashMap<String, Vec<Ours>> = HashMap::new();
    let mut by_person: HashMap<i64, Vec<Ours>> = HashMap::new();
    for given in given {
        let ours = Ours { written: given.written, pending: given.pending, needs: given.needs };
        match (given.record_id, given.person_id) {
            (Some(record), _) => by_record.entry(record).or_default().push(ours),
            (None, Some(person)) => by_person.entry(person).or_default().push(ours),
            (None, None) => {}
        }
    }
    let mut stripped = HashMap::new();
    for (index, (record, person)) in records.iter().zip(people).enumerate() {
        let of_person = person.and_then(|person| by_person.get(&person));
        let Some(ours) = by_record.get(&record.record_id).or(of_person) else { continue };
        let person = person.and_then(|person| directory.people.get(&person));
        let Some(found) = strip(record, person, env.source.id, ours, person_key) else { continue };
        let mut record = found.record;
        if found.name_is_ours {
            // The parts of a name are not read from a whole that is the one last seen; of a record that is new, from none.
            match (directory.links.get_mut(&record.record_id), &record.name) {
                (Some(link), NameGiven::Whole(name)) => link.name = Some(name.clone()),
                _ => record.name = NameGiven::Absent,
            }
        }
        stripped.insert(index, record);
    }
    Ok(stripped)
}

/// Who a record stands for, or will stand for.
fn whose(record: &PersonRecord, env: &Env<'_>, directory: &Directory) -> Option<i64> {
    match directory.links.get(&record.record_id) {
        Some(link) => Some(link.person_id),
        None => directory.find(&record.identities, env.source.settings.find).person_id,
    }
}
