//! People of a batch: load the directory, plan in `rules::people`, write the plan.

use super::echoes::strip_echoes;
use super::env::{Env, Known};
use crate::db;
use crate::db::agent::AgentRow;
use crate::db::consent::ConsentRow;
use crate::db::identity::{Found, IdentityRow};
use crate::db::person::PersonRow;
use crate::db::person_source::LinkRow;
use crate::model::activity::ActivityDraft;
use crate::model::batch::{Batch, Counts};
use crate::model::consent::{Channel, ConsentEvent, ConsentState};
use crate::model::field::SystemField;
use crate::model::person::{IdentityKind, NameGiven, Person, PersonLink, PersonRecord, RecordStatus};
use crate::model::record::digest;
use crate::rules::audience;
use crate::rules::consent::{event_of, fold_channel, is_news};
use crate::rules::directory::{Directory, Holder};
use crate::rules::people::{Context, Plan, plan, set_consent};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Raised when decoding changes in a way that should be applied to records that have not changed themselves.
const DECODER: i64 = 1;

/// Applies the people of a batch. Answers who the batch's records are, and what happened to them.
pub async fn apply(
    db: &mut PgConnection,
    env: &Env<'_>,
    batch: &Batch,
    counts: &mut Counts,
) -> db::Result<(Known, Vec<ActivityDraft>)> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let referred: BTreeSet<&str> = batch.person_records().collect();
    let referred: Vec<&str> = referred.into_iter().collect();
    let links = db::person_source::load(db, workspace, source, &referred).await?;
    let mut directory = Directory {
        links: links.into_iter().map(|link| (link.record_id.clone(), link)).collect(),
        ..Directory::default()
    };
    let records = newest(&batch.people);
    let context = digest(&env.source.settings, DECODER);
    let seen: Vec<i64> = records.iter().map(|record| digest(record, context)).collect();
    let (records, seen) = only_news(records, seen, &directory, counts);
    let (mut activities, mut created) = (Vec::new(), HashSet::new());
    if !records.is_empty() {
        let barred = load(db, env, &records, &mut directory).await?;
        let unlinked = records.iter().filter(|record| !directory.links.contains_key(&record.record_id)).count();
        let mut ids = db::person::reserve_ids(db, unlinked).await?.into_iter();
        let (looked_at, written_to) = db::audience_touched::followed(db, workspace, source).await?;
        let before = if looked_at { Before::of(&directory) } else { Before::default() };
        let echoes = match written_to {
            true => strip_echoes(db, env, &records, &mut directory).await?,
            false => HashMap::new(),
        };
        let records: Vec<&PersonRecord> =
            records.iter().enumerate().map(|(index, record)| echoes.get(&index).unwrap_or(record)).collect();
        let planning =
            Context { source_id: source, settings: &env.source.settings, now: env.now, seen: &seen, barred: &barred };
        let mut plan = plan(&records, &mut directory, &mut ids, &planning);
        activities = std::mem::take(&mut plan.activities);
        created.extend(plan.created.iter().map(|(id, _)| *id));
        let linked: BTreeSet<String> = plan.newly_linked.iter().cloned().collect();
        write(db, env, &records, plan, &mut directory, &barred, counts).await?;
        touch(db, env, &before, &directory, &created, &linked).await?;
    }
    let unknown: Vec<&str> =
        batch.nobody.iter().map(String::as_str).filter(|record| !directory.links.contains_key(*record)).collect();
    db::nobody::note(db, workspace, source, &unknown, env.now).await?;
    let older = directory.links.values().filter(|link| !created.contains(&link.person_id));
    let archived = archived(db, workspace, older).await?;
    Ok((Known { links: directory.links, archived }, activities))
}

/// People, and where their records stood, before a batch: in which organization, and whether they were alive.
#[derive(Default)]
struct Before {
    people: HashMap<i64, Person>,
    places: HashMap<String, (Option<String>, String)>,
}

fn place(link: &PersonLink) -> (Option<String>, String) {
    (link.organization_record_id.clone(), link.status.clone())
}

impl Before {
    fn of(directory: &Directory) -> Before {
        let places = directory.links.values().map(|link| (link.record_id.clone(), place(link)));
        Before { people: directory.people.clone(), places: places.collect() }
    }
}

/// Notes for audiences what is new about people: everything of those created, what changed of the others; a record that is another
/// organization's now, and one that is new to its person and may bring tickets that came before it.
async fn touch(
    db: &mut PgConnection,
    env: &Env<'_>,
    before: &Before,
    directory: &Directory,
    created: &HashSet<i64>,
    linked: &BTreeSet<String>,
) -> db::Result<()> {
    let mut changes: BTreeSet<(i64, String)> =
        created.iter().map(|id| (*id, db::audience_touched::ALL.to_string())).collect();
    for (id, person) in directory.people.iter().filter(|(id, _)| !created.contains(id)) {
        let changed = before.people.get(id).map(|before| audience::changed(before, person)).unwrap_or_default();
        changes.extend(changed.into_iter().map(|need| (*id, need)));
    }
    for link in directory.links.values() {
        let is_new = linked.contains(&link.record_id);
        if is_new || before.places.get(&link.record_id) != Some(&place(link)) {
            changes.insert((link.person_id, "organization".to_string()));
        }
        if is_new {
            changes.insert((link.person_id, "ticket".to_string()));
        }
    }
    db::audience_touched::note(db, env.source.workspace_id, changes, env.now).await
}

/// Learns who further records are, such as the requesters of stored tickets.
pub async fn learn<'a>(
    db: &mut PgConnection,
    env: &Env<'_>,
    known: &mut Known,
    records: impl Iterator<Item = &'a str>,
) -> db::Result<()> {
    let unknown: BTreeSet<&str> = records.filter(|record| !known.links.contains_key(*record)).collect();
    let unknown: Vec<&str> = unknown.into_iter().collect();
    let links = db::person_source::load(db, env.source.workspace_id, env.source.id, &unknown).await?;
    known.archived.extend(archived(db, env.source.workspace_id, links.iter()).await?);
    known.links.extend(links.into_iter().map(|link| (link.record_id.clone(), link)));
    Ok(())
}

async fn archived(
    db: &mut PgConnection,
    workspace: i64,
    links: impl Iterator<Item = &PersonLink>,
) -> db::Result<HashSet<i64>> {
    let people: BTreeSet<i64> = links.map(|link| link.person_id).collect();
    if people.is_empty() {
        return Ok(HashSet::new());
    }
    let people: Vec<i64> = people.into_iter().collect();
    Ok(db::person::archived(db, workspace, &people).await?.into_iter().collect())
}

/// The newest version of each record, in the order of the batch.
fn newest(records: &[PersonRecord]) -> Vec<&PersonRecord> {
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let entry = last.entry(record.record_id.as_str()).or_insert(index);
        if record.updated_at >= records[*entry].updated_at && (record.complete || !records[*entry].complete) {
            *entry = index;
        }
    }
    let mut keep: Vec<usize> = last.into_values().collect();
    keep.sort_unstable();
    keep.into_iter().map(|index| &records[index]).collect()
}

/// Leaves out records that were last seen exactly so: a page without news costs one statement.
fn only_news<'a>(
    records: Vec<&'a PersonRecord>,
    seen: Vec<i64>,
    directory: &Directory,
    counts: &mut Counts,
) -> (Vec<&'a PersonRecord>, Vec<i64>) {
    let is_news = |record: &PersonRecord, seen: i64| {
        !record.complete || directory.links.get(&record.record_id).is_none_or(|link| link.seen != seen)
    };
    let before = records.len();
    let (records, seen): (Vec<_>, Vec<_>) =
        records.into_iter().zip(seen).filter(|(record, seen)| is_news(record, *seen)).unzip();
    counts.unchanged += (before - records.len()) as u64;
    (records, seen)
}

/// Loads who the records could concern. Answers the channels that are barred, by record.
async fn load(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[&PersonRecord],
    directory: &mut Directory,
) -> db::Result<BTreeMap<String, Vec<Channel>>> {
    let workspace = env.source.workspace_id;
    let identities = records.iter().flat_map(|record| &record.identities);
    let (kinds, values): (Vec<&str>, Vec<&str>) =
        identities.map(|identity| (identity.kind.as_str(), identity.value.as_str())).unzip();
    let mut found = db::identity::load(db, workspace, &kinds, &values).await?;
    let linked: BTreeSet<i64> =
        records.iter().filter_map(|record| Some(directory.links.get(&record.record_id)?.person_id)).collect();
    let linked: Vec<i64> = linked.into_iter().collect();
    found.extend(db::identity::of_people(db, workspace, &linked).await?);
    let people: BTreeSet<i64> = found.iter().map(|found| found.person_id).chain(linked).collect();
    let people: Vec<i64> = people.into_iter().collect();
    for person in db::person::load(db, workspace, &people).await? {
        directory.people.insert(person.id, person);
    }
    for found in found {
        if let Some(kind) = kind_of(&found) {
            let holder = Holder { person_id: found.person_id, source_id: found.source_id, record_id: found.record_id };
            directory.identities.insert((kind, found.value), holder);
        }
    }
    load_buried(db, env, records, directory).await
}

fn kind_of(found: &Found) -> Option<IdentityKind> {
    [IdentityKind::ExternalId, IdentityKind::Email, IdentityKind::Phone]
        .into_iter()
        .find(|kind| kind.as_str() == found.kind)
}

/// A record, or one of its identities, of which a digest is made.
type Subject<'a> = (&'a PersonRecord, Option<(IdentityKind, String)>);

/// Tombstones and suppressions of records that are not linked yet. Digests are made only where there is any to meet.
async fn load_buried(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[&PersonRecord],
    directory: &mut Directory,
) -> db::Result<BTreeMap<String, Vec<Channel>>> {
    let mut barred: BTreeMap<String, Vec<Channel>> = BTreeMap::new();
    if !db::tombstone::any(db, env.source.workspace_id).await? {
        return Ok(barred);
    }
    let mut by_digest: HashMap<Vec<u8>, Subject<'_>> = HashMap::new();
    for record in records.iter().copied().filter(|record| !directory.links.contains_key(&record.record_id)) {
        for digest in env.sealer.subject_hmacs(&record_subject(env.source.id, &record.record_id)) {
            by_digest.insert(digest.to_vec(), (record, None));
        }
        for identity in &record.identities {
            for digest in env.sealer.subject_hmacs(&identity_subject(identity.kind, &identity.value)) {
                by_digest.insert(digest.to_vec(), (record, Some((identity.kind, identity.value.clone()))));
            }
        }
    }
    let digests: Vec<Vec<u8>> = by_digest.keys().cloned().collect();
    for (_, digest) in db::tombstone::load(db, env.source.workspace_id, &digests).await? {
        match by_digest.get(&digest) {
            Some((_, Some(identity))) => _ = directory.buried_identities.insert(identity.clone()),
            Some((record, None)) => _ = directory.buried_records.insert(record.record_id.clone()),
            None => {}
        }
    }
    for (channel, digest) in db::tombstone::suppressed(db, env.source.workspace_id, &digests).await? {
        if let (Some(channel), Some((record, _))) = (Channel::parse(&channel), by_digest.get(&digest)) {
            barred.entry(record.record_id.clone()).or_default().push(channel);
        }
    }
    Ok(barred)
}

/// What a tombstone of a record is made of.
pub fn record_subject(source_id: i64, record_id: &str) -> String {
    format!("record|{source_id}|{record_id}")
}

/// What a tombstone or suppression of an identity is made of.
pub fn identity_subject(kind: IdentityKind, value: &str) -> String {
    format!("{}|{value}", kind.as_str())
}

async fn write(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[&PersonRecord],
    mut plan: Plan,
    directory: &mut Directory,
    barred: &BTreeMap<String, Vec<Channel>>,
    counts: &mut Counts,
) -> db::Result<()> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    for (id, index) in &plan.created {
        for channel in barred.get(&records[*index].record_id).into_iter().flatten() {
            set_consent(directory.people.get_mut(id), *channel, ConsentState::Suppressed);
        }
    }
    write_consents(db, env, &mut plan, directory).await?;
    write_people(db, env, records, &plan, directory).await?;
    let links: Vec<LinkRow<'_>> = plan
        .links
        .iter()
        .filter_map(|(record_id, index)| Some(LinkRow::new(directory.links.get(record_id)?, records[*index])))
        .collect();
    db::person_source::upsert(db, workspace, source, &links).await?;
    let agents: Vec<AgentRow<'_>> = plan.agents.iter().map(|index| agent_row(records[*index])).collect();
    db::agent::upsert(db, workspace, source, &agents).await?;
    db::merge::add_candidates(db, workspace, source, &plan.candidates, env.now).await?;
    let nobody: Vec<&str> = plan.nobody.iter().chain(&plan.buried).map(String::as_str).collect();
    db::nobody::note(db, workspace, source, &nobody, env.now).await?;
    let subjects: Vec<String> = plan.buried.iter().map(|record| format!("zen:user:{record}")).collect();
    db::raw_event::erase(db, workspace, source, &subjects).await?;
    attach_tickets(db, env, &plan, directory).await?;
    archive_gone(db, env, &plan).await?;
    counts.people_created += plan.created.len() as u64;
    counts.people_updated += plan.updated.len() as u64;
    counts.unchanged += plan.unchanged;
    counts.skipped += plan.skipped;
    Ok(())
}

async fn write_people(
    db: &mut PgConnection,
    env: &Env<'_>,
    records: &[&PersonRecord],
    plan: &Plan,
    directory: &Directory,
) -> db::Result<()> {
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let created: Vec<PersonRow<'_>> = plan
        .created
        .iter()
        .filter_map(|(id, index)| Some(PersonRow::new(directory.people.get(id)?, &records[*index].record_id)))
        .collect();
    db::person::insert(db, workspace, &created, env.now).await?;
    let new: HashSet<i64> = plan.created.iter().map(|(id, _)| *id).collect();
    let updated = plan.updated.iter().filter(|id| !new.contains(id)).filter_map(|id| directory.people.get(id));
    let updated: Vec<PersonRow<'_>> = updated.map(|person| PersonRow::new(person, "")).collect();
    db::person::update(db, workspace, &updated, env.now).await?;
    let revoked: Vec<Found> = plan
        .revoked
        .iter()
        .map(|(kind, value)| Found {
            kind: kind.as_str().to_string(),
            value: value.clone(),
            person_id: 0,
            source_id: source,
            record_id: String::new(),
        })
        .collect();
    db::identity::revoke(db, workspace, &revoked, env.now).await?;
    let identities: Vec<IdentityRow<'_>> = plan
        .identities
        .iter()
        .map(|identity| IdentityRow {
            kind: identity.kind.as_str(),
            value: &identity.value,
            person_id: identity.person_id,
            record_id: &identity.record_id,
            verified: identity.verified,
        })
        .collect();
    db::identity::insert(db, workspace, source, &identities, env.now).await
}

fn agent_row(record: &PersonRecord) -> AgentRow<'_> {
    AgentRow {
        record_id: &record.record_id,
        name: match &record.name {
            NameGiven::Whole(name) => Some(name),
            _ => None,
        },
        role: &record.role,
        active: record.status == RecordStatus::Agent,
        record_updated_at: record.updated_at,
    }
}

/// Adds to the ledger what is not said there already, and computes the present state of everybody whose ledger grew.
async fn write_consents(
    db: &mut PgConnection,
    env: &Env<'_>,
    plan: &mut Plan,
    directory: &mut Directory,
) -> db::Result<()> {
    if plan.consents.is_empty() {
        return Ok(());
    }
    let (workspace, source) = (env.source.workspace_id, env.source.id);
    let created: HashSet<i64> = plan.created.iter().map(|(id, _)| *id).collect();
    let mut ledgers = grow_ledgers(db, env, plan, &created).await?;
    let texts: BTreeSet<&str> = plan.consents.iter().filter_map(|consent| consent.given.wording.as_deref()).collect();
    let wordings = db::consent::wordings(db, workspace, &texts.into_iter().collect::<Vec<_>>(), env.now).await?;
    let rows: Vec<ConsentRow<'_>> = plan
        .consents
        .iter()
        .map(|consent| ConsentRow {
            person_id: consent.person_id,
            subject_hmac: address(directory, consent.person_id, consent.given.channel)
                .map(|address| format!("\\x{}", hex::encode(env.sealer.subject_hmac(&address)))),
            channel: consent.given.channel.as_str(),
            action: consent.given.action.as_str(),
            evidence: consent.given.evidence.as_str(),
            actor: &env.source.name,
            wording_id: consent.given.wording.as_ref().and_then(|wording| wordings.get(wording).copied()),
            occurred_at: consent.given.occurred_at.unwrap_or(env.now),
        })
        .collect();
    db::consent::insert(db, workspace, source, &rows, env.now).await?;
    let grown: HashSet<i64> = plan.consents.iter().map(|consent| consent.person_id).collect();
    ledgers.retain(|id, _| grown.contains(id));
    for (id, ledger) in ledgers {
        for channel in Channel::ALL {
            let state = fold_channel(&ledger, channel);
            let Some(person) = directory.people.get_mut(&id) else { continue };
            let present = match channel {
                Channel::Email => person.email_consent,
                Channel::Sms => person.sms_consent,
            };
            if present != state && present != ConsentState::Suppressed {
                set_consent(Some(person), channel, state);
                if !created.contains(&id) {
                    plan.updated.insert(id);
                }
            }
        }
    }
    Ok(())
}

/// Leaves only news among the consents of the plan. Answers the ledgers as they will be.
async fn grow_ledgers(
    db: &mut PgConnection,
    env: &Env<'_>,
    plan: &mut Plan,
    created: &HashSet<i64>,
) -> db::Result<BTreeMap<i64, Vec<ConsentEvent>>> {
    let brought = plan.consents.iter().map(|consent| consent.person_id);
    let existing: BTreeSet<i64> = brought.filter(|id| !created.contains(id)).collect();
    let existing: Vec<i64> = existing.into_iter().collect();
    let mut ledgers = db::consent::load(db, env.source.workspace_id, &existing).await?;
    // Numbers above all that the table has given out: what is added comes last among the events of its time.
    let mut next_id = i64::MAX / 2;
    plan.consents.retain(|consent| {
        let ledger = ledgers.entry(consent.person_id).or_default();
        let news = is_news(ledger, &consent.given, env.now);
        if news {
            next_id += 1;
            ledger.push(event_of(&consent.given, next_id, env.now));
        }
        news
    });
    Ok(ledgers)
}

/// The subject of a person's address on a channel, as suppressions know it.
fn address(directory: &Directory, person_id: i64, channel: Channel) -> Option<String> {
    let person = directory.people.get(&person_id)?;
    let (kind, field) = match channel {
        Channel::Email => (IdentityKind::Email, SystemField::Email),
        Channel::Sms => (IdentityKind::Phone, SystemField::Phone),
    };
    let text = person.system[field].as_deref()?;
    let key = match kind {
        IdentityKind::Email => crate::model::email::Email::parse(text).ok()?.key().to_string(),
        _ => text.to_string(),
    };
    Some(identity_subject(kind, &key))
}

/// Tickets that came before their requester.
async fn attach_tickets(db: &mut PgConnection, env: &Env<'_>, plan: &Plan, directory: &Directory) -> db::Result<()> {
    let linked = plan
        .newly_linked
        .iter()
        .filter_map(|record_id| Some((record_id.as_str(), directory.links.get(record_id)?.person_id)));
    let (records, people): (Vec<&str>, Vec<i64>) = linked.unzip();
    if records.is_empty() {
        return Ok(());
    }
    db::ticket::attach(db, env.source.workspace_id, env.source.id, &records, &people).await
}

/// Archives people whom the source deleted, by switch (R47, R50); not while another of their records is alive.
async fn archive_gone(db: &mut PgConnection, env: &Env<'_>, plan: &Plan) -> db::Result<()> {
    if plan.gone.is_empty() || !env.source.settings.archive_when_deleted {
        return Ok(());
    }
    let gone: Vec<i64> = plan.gone.iter().copied().collect();
    let alive: HashSet<i64> =
        db::person_source::still_active(db, env.source.workspace_id, &gone).await?.into_iter().collect();
    let gone: Vec<i64> = gone.into_iter().filter(|id| !alive.contains(id)).collect();
    let reason = format!("deleted in {}", env.source.name);
    db::person::archive(db, env.source.workspace_id, &gone, &reason, env.now, env.delete_after()).await?;
    let gone = gone.into_iter().map(|person| (person, db::audience_touched::ALL));
    db::audience_touched::note(db, env.source.workspace_id, gone, env.now).await
}
