//! What a batch of records does to people: whom each record concerns, what changes, what is added (R34–R47, I1–I9).

use super::directory::{Directory, Holder, system_field};
use super::fields::{self, Stamp};
use super::{activity, consent};
use crate::model::activity::ActivityDraft;
use crate::model::consent::{Channel, ConsentAction, ConsentState, Evidence};
use crate::model::email::Email;
use crate::model::field::{FieldPolicy, Given, PerField, SystemField};
use crate::model::person::{
    Candidate, ConsentGiven, IdentityKind, NameGiven, Person, PersonLink, PersonRecord, RecordStatus,
};
use crate::model::source::{MergeStrategy, SourceSettings};
use chrono::{DateTime, Utc};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};

/// What else decides besides the records and the directory.
pub struct Context<'a> {
    /// The source.
    pub source_id: i64,
    /// Its options.
    pub settings: &'a SourceSettings,
    /// Now.
    pub now: DateTime<Utc>,
    /// Digest of each record, in the order of the records.
    pub seen: &'a [i64],
    /// Channels on which the person of a record must not be granted anything, by record id.
    pub barred: &'a BTreeMap<String, Vec<Channel>>,
}

/// An identity to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// Kind.
    pub kind: IdentityKind,
    /// Normalised value.
    pub value: String,
    /// The person.
    pub person_id: i64,
    /// Record that brings it.
    pub record_id: String,
    /// True when the source says it is verified.
    pub verified: bool,
}

/// An entry for the consent ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsent {
    /// The person.
    pub person_id: i64,
    /// What was given.
    pub given: ConsentGiven,
}

/// What is to be written. People stand in the directory, changed.
#[derive(Debug, Default)]
pub struct Plan {
    /// People who are new, with the index of the record that creates them.
    pub created: Vec<(i64, usize)>,
    /// People who changed.
    pub updated: BTreeSet<i64>,
    /// Links that are new or changed, with the index of their record.
    pub links: Vec<(String, usize)>,
    /// Records linked for the first time.
    pub newly_linked: Vec<String>,
    /// Identities that are new.
    pub identities: Vec<NewIdentity>,
    /// Identities that are taken away.
    pub revoked: Vec<(IdentityKind, String)>,
    /// Pairs to be looked at.
    pub candidates: Vec<Candidate>,
    /// Consents to be recorded.
    pub consents: Vec<NewConsent>,
    /// People whose record is gone in the source.
    pub gone: BTreeSet<i64>,
    /// Indexes of records of agents.
    pub agents: Vec<usize>,
    /// Records that stand for no person: gone before they were met.
    pub nobody: Vec<String>,
    /// Records whose person was deleted here: nothing of them is kept.
    pub buried: Vec<String>,
    /// What happened to the people's records.
    pub activities: Vec<ActivityDraft>,
    /// Records that said nothing new.
    pub unchanged: u64,
    /// Records left out.
    pub skipped: u64,
}

/// Plans a batch. `ids` hands out numbers for new people, one per unlinked record at most.
pub fn plan(
    records: &[&PersonRecord],
    directory: &mut Directory,
    ids: &mut impl Iterator<Item = i64>,
    context: &Context<'_>,
) -> Plan {
    let mut plan = Plan::default();
    for (index, record) in records.iter().copied().enumerate() {
        Planner { directory, plan: &mut plan, context, record, index }.record(ids);
    }
    plan
}

/// Must the record be looked at, given what was last seen of it?
fn is_news(link: &PersonLink, record: &PersonRecord, seen: i64) -> News {
    if record.complete && link.seen == seen {
        return News::Same;
    }
    match (record.updated_at, link.record_updated_at) {
        (Some(new), Some(old)) if new < old || (new == old && !record.complete) => News::Older,
        _ => News::Newer,
    }
}

enum News {
    Same,
    Older,
    Newer,
}

struct Planner<'a, 'b> {
    directory: &'a mut Directory,
    plan: &'a mut Plan,
    context: &'a Context<'b>,
    record: &'a PersonRecord,
    index: usize,
}

impl Planner<'_, '_> {
    fn record(mut self, ids: &mut impl Iterator<Item = i64>) {
        let link = self.directory.links.get(&self.record.record_id).cloned();
        if let Some(link) = &link {
            match is_news(link, self.record, self.context.seen[self.index]) {
                News::Same => return self.plan.unchanged += 1,
                News::Older => return self.plan.skipped += 1,
                News::Newer => {}
            }
        }
        if self.record.status == RecordStatus::Agent {
            self.plan.agents.push(self.index);
        }
        match link {
            Some(link) => self.linked(link),
            None if self.record.status.is_customer() => self.unlinked(ids),
            None if self.record.status == RecordStatus::Agent => {}
            None => {
                self.plan.nobody.push(self.record.record_id.clone());
                self.plan.skipped += 1;
            }
        }
    }

    /// A record whose person is known: the link always wins (R34).
    fn linked(&mut self, link: PersonLink) {
        let Some(person) = self.directory.people.get(&link.person_id) else {
            return self.plan.skipped += 1;
        };
        if person.archived_at.is_some() {
            return self.plan.skipped += 1;
        }
        if link.status == RecordStatus::Merged.as_str() && self.record.status.is_gone() {
            // Zendesk shows the loser of a merge as deleted; nobody was deleted (R50).
            return self.link(link.person_id, Some(&link));
        }
        self.note_changes(Some(&link));
        if self.record.status.is_gone() {
            self.plan.gone.insert(link.person_id);
        }
        if self.record.status.is_customer() {
            self.update(link.person_id, link.name.as_deref());
            if self.record.complete && !self.leaves_alone() {
                self.revoke_former(link.person_id);
            }
        }
        self.link(link.person_id, Some(&link));
    }

    /// A record that is met for the first time.
    fn unlinked(&mut self, ids: &mut impl Iterator<Item = i64>) {
        let found = self.directory.find(&self.record.identities, self.context.settings.find);
        let archived = |id| self.directory.people.get(&id).is_some_and(|person| person.archived_at.is_some());
        match found.person_id {
            Some(id) if archived(id) => {
                self.link(id, None);
                self.plan.skipped += 1;
            }
            Some(id) => {
                for (other_id, kind) in found.others {
                    self.candidate(id, other_id, kind);
                }
                self.note_changes(None);
                self.update(id, None);
                self.link(id, None);
            }
            None if self.is_buried() => {
                self.plan.buried.push(self.record.record_id.clone());
                self.plan.skipped += 1;
            }
            None if !self.context.settings.create_people => self.plan.skipped += 1,
            None => {
                let id = ids.next().expect("as many ids are reserved as there are unlinked records");
                self.note_changes(None);
                self.create(id);
                self.add_identities(id);
                self.link(id, None);
            }
        }
    }

    fn is_buried(&self) -> bool {
        let buried = |identity: &crate::model::person::Identity| {
            self.directory.buried_identities.contains(&(identity.kind, identity.value.clone()))
        };
        self.directory.buried_records.contains(&self.record.record_id) || self.record.identities.iter().any(buried)
    }

    fn create(&mut self, id: i64) {
        let mut person = Person {
            id,
            system: PerField::default(),
            fields: Map::new(),
            email_consent: ConsentState::Unknown,
            sms_consent: ConsentState::Unknown,
            created_at: self.context.now,
            created_source_id: self.context.source_id,
            provenance: Map::new(),
            archived_at: None,
        };
        fields::create(&mut person, self.record, self.context.settings);
        self.directory.people.insert(id, person);
        self.opt_in(id);
        self.plan.created.push((id, self.index));
        self.record_consents(id);
    }

    /// The operator's assertion, for people this source creates (R41–R43); never for a suppressed address (R46).
    fn opt_in(&mut self, id: i64) {
        let settings = self.context.settings;
        let none = Vec::new();
        let barred = self.context.barred.get(&self.record.record_id).unwrap_or(&none);
        for (channel, action) in consent::opt_in_on_create(settings.opt_in_email, settings.opt_in_sms, barred) {
            let given = ConsentGiven {
                channel,
                action,
                evidence: Evidence::OperatorAssertion,
                occurred_at: None,
                wording: None,
            };
            self.plan.consents.push(NewConsent { person_id: id, given });
            if action == ConsentAction::Grant {
                set_consent(self.directory.people.get_mut(&id), channel, ConsentState::Granted);
            }
        }
    }

    fn record_consents(&mut self, id: i64) {
        for given in &self.record.consents {
            self.plan.consents.push(NewConsent { person_id: id, given: given.clone() });
        }
    }

    /// Does this source leave people alone who are there already (R28)? Their refusals are heard all the same.
    fn leaves_alone(&self) -> bool {
        self.context.settings.merge == MergeStrategy::Ignore
    }

    fn update(&mut self, id: i64, former_name: Option<&str>) {
        if self.leaves_alone() {
            let refuses = |given: &&ConsentGiven| matches!(given.action, ConsentAction::Deny | ConsentAction::Withdraw);
            let refusals = self.record.consents.iter().filter(refuses);
            self.plan.consents.extend(refusals.map(|given| NewConsent { person_id: id, given: given.clone() }));
            return;
        }
        self.record_consents(id);
        self.change(id, former_name);
        self.add_identities(id);
    }

    fn change(&mut self, id: i64, former_name: Option<&str>) {
        let Some(person) = self.directory.people.get_mut(&id) else { return };
        let stamp =
            Stamp { source_id: self.context.source_id, record_id: &self.record.record_id, at: self.context.now };
        if fields::update(person, self.record, former_name, self.context.settings, stamp) {
            self.plan.updated.insert(id);
        }
    }

    /// Adds what finds the person from now on.
    fn add_identities(&mut self, id: i64) {
        for identity in &self.record.identities {
            let key = (identity.kind, identity.value.clone());
            match self.directory.identities.get(&key) {
                Some(holder) if holder.person_id == id => {}
                Some(holder) => {
                    let other = holder.person_id;
                    self.candidate(id, other, identity.kind);
                }
                None => {
                    let holder = Holder {
                        person_id: id,
                        source_id: self.context.source_id,
                        record_id: self.record.record_id.clone(),
                    };
                    self.directory.identities.insert(key, holder);
                    self.plan.identities.push(NewIdentity {
                        kind: identity.kind,
                        value: identity.value.clone(),
                        person_id: id,
                        record_id: self.record.record_id.clone(),
                        verified: identity.verified,
                    });
                }
            }
        }
    }

    /// Takes away what this record no longer says. A row of a file takes nothing away that it does not mention, nor what
    /// still stands in the person's field because its source may not change it.
    fn revoke_former(&mut self, id: i64) {
        let person = self.directory.people.get(&id);
        let stays = |kind: IdentityKind, value: &str| {
            let field = system_field(kind);
            let stands = person.and_then(|person| person.system[field].as_deref());
            let stands = stands.is_some_and(|text| is_key(kind, text, value));
            let silent = self.record.sparse && self.record.system[field] == Given::Absent;
            silent || stands
        };
        let said: BTreeSet<(IdentityKind, &str)> =
            self.record.identities.iter().map(|identity| (identity.kind, identity.value.as_str())).collect();
        let mine = |holder: &Holder| {
            holder.person_id == id
                && holder.source_id == self.context.source_id
                && holder.record_id == self.record.record_id
        };
        let former: Vec<(IdentityKind, String)> = self
            .directory
            .identities
            .iter()
            .filter(|((kind, value), holder)| mine(holder) && !said.contains(&(*kind, value)) && !stays(*kind, value))
            .map(|(key, _)| key.clone())
            .collect();
        for key in former {
            self.directory.identities.remove(&key);
            self.plan.identities.retain(|new| (new.kind, &new.value) != (key.0, &key.1));
            self.plan.revoked.push(key);
        }
    }

    fn candidate(&mut self, person_id: i64, other_id: i64, kind: IdentityKind) {
        let known = self.plan.candidates.iter().any(|c| c.person_id == person_id && c.other_id == other_id);
        if person_id != other_id && !known {
            let reason = format!("the same {}", kind.as_str());
            self.plan.candidates.push(Candidate {
                person_id,
                other_id,
                reason,
                record_id: self.record.record_id.clone(),
            });
        }
    }

    fn link(&mut self, person_id: i64, former: Option<&PersonLink>) {
        let record = self.record;
        let name = match &record.name {
            NameGiven::Whole(name) => Some(name.clone()),
            _ => former.and_then(|link| link.name.clone()),
        };
        let link = PersonLink {
            record_id: record.record_id.clone(),
            person_id,
            organization_record_id: match record.complete && !record.sparse {
                true => record.organization_record_id.clone(),
                false => record
                    .organization_record_id
                    .clone()
                    .or(former.and_then(|link| link.organization_record_id.clone())),
            },
            name,
            status: match former {
                Some(link) if link.status == RecordStatus::Merged.as_str() && record.status.is_gone() => {
                    link.status.clone()
                }
                _ => record.status.as_str().to_string(),
            },
            record_updated_at: record.updated_at.or(former.and_then(|link| link.record_updated_at)),
            // A hint is not the whole record: the next whole one must be looked at.
            seen: if record.complete { self.context.seen[self.index] } else { 0 },
        };
        if former.is_none() {
            self.plan.newly_linked.push(record.record_id.clone());
        }
        self.directory.links.insert(record.record_id.clone(), link);
        self.plan.links.push((record.record_id.clone(), self.index));
    }

    /// What happened to the record, told by the difference (§3 of the rules).
    fn note_changes(&mut self, link: Option<&PersonLink>) {
        let state = match link {
            None => activity::UserState::default(),
            Some(link) => self.state_of(link),
        };
        self.plan.activities.extend(activity::user_changes(&state, self.record));
    }

    fn state_of(&self, link: &PersonLink) -> activity::UserState {
        let person = self.directory.people.get(&link.person_id);
        // Where this source may not write a field, the person's value says nothing of the record: no change is told.
        let system = |field: SystemField| match self.context.settings.policy(field) {
            FieldPolicy::Overwrite => person.and_then(|person| person.system[field].clone()),
            _ => match &self.record.system[field] {
                Given::Value(value) => Some(value.clone()),
                _ => None,
            },
        };
        activity::UserState {
            existed: true,
            email: system(SystemField::Email),
            phone: system(SystemField::Phone),
            organization: link.organization_record_id.clone(),
            tags: person.map(|person| activity::tags_of(&person.fields)).unwrap_or_default(),
            suspended: link.status == RecordStatus::Suspended.as_str(),
            status: link.status.clone(),
            name: link.name.clone(),
        }
    }
}

/// Is this text the one that the key was made of?
fn is_key(kind: IdentityKind, text: &str, key: &str) -> bool {
    match kind {
        IdentityKind::Email => Email::parse(text).is_ok_and(|email| email.key() == key),
        IdentityKind::ExternalId => text.trim().to_lowercase() == key,
        IdentityKind::Phone => text == key,
    }
}

/// Sets the present consent of a channel.
pub fn set_consent(person: Option<&mut Person>, channel: Channel, state: ConsentState) {
    if let Some(person) = person {
        match channel {
            Channel::Email => person.email_consent = state,
            Channel::Sms => person.sms_consent = state,
        }
    }
}
