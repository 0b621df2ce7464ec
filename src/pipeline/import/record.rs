//! A row becomes the records it holds: a person, their organization, what they did. Pure.

use super::happening::{self, Told};
use super::mapping::{ConsentPart, OrganizationPart, Target};
use super::rows::{Fault, Row};
use super::value::{self, MAX_TEXT, Reason};
use crate::model::activity::ActivityDraft;
use crate::model::consent::{Channel, ConsentAction, Evidence};
use crate::model::email::Email;
use crate::model::field::{Given, PerField, SystemField};
use crate::model::organization::OrganizationRecord;
use crate::model::person::{ConsentGiven, Identity, IdentityKind, NameGiven, PersonRecord, RecordStatus};
use crate::model::phone::Phone;
use crate::model::record::{Problem, digest};
use crate::rules::blocked::is_blocked;
use crate::rules::name;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The longest value of a system field and the longest id of a record, in bytes.
const MAX_SHORT: usize = 1024;

/// What decides how a row is read, besides its columns.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What, besides the row's own id, finds a person.
    pub identifiers: Vec<IdentityKind>,
    /// Where phone numbers without a country are from.
    pub region: Option<String>,
    /// Values that find nobody (I3).
    pub blocked: Vec<String>,
    /// How many bytes of a message are kept; none where none are.
    pub message_bytes: Option<usize>,
}

/// What a row holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// The line the row begins at.
    pub line: u64,
    /// The person.
    pub person: PersonRecord,
    /// Their organization.
    pub organization: Option<OrganizationRecord>,
    /// What they did.
    pub activities: Vec<ActivityDraft>,
    /// What could not be used.
    pub faults: Vec<Fault>,
}

/// Reads a row; an error is a row that is nobody's.
pub fn read(row: Row, reading: &Reading) -> Result<Records, Fault> {
    let line = row.line;
    let mut draft = Draft::new(reading);
    for (target, value) in row.cells {
        draft.take(target, value);
    }
    let mut faults = row.faults;
    let Some(record_id) = draft.record_id(row.key.as_ref()) else {
        let reason = "no e-mail address, phone number, external id or key: nobody's row; left out".to_owned();
        return Err(Fault { line, column: String::new(), reason });
    };
    let organization = draft.organization();
    let activities = draft.activities(&record_id);
    let person = PersonRecord {
        record_id,
        organization_record_id: organization.as_ref().map(|organization| organization.record_id.clone()),
        name: draft.name(),
        consents: draft.consents(),
        system: draft.system,
        fields: draft.fields,
        identities: draft.identities,
        problems: draft.problems,
        ..blank()
    };
    faults.extend(person.problems.iter().map(|problem| Fault {
        line,
        column: problem.part.clone(),
        reason: problem.reason.clone(),
    }));
    Ok(Records { line, person, organization, activities, faults })
}

fn blank() -> PersonRecord {
    PersonRecord {
        record_id: String::new(),
        status: RecordStatus::Active,
        role: String::new(),
        name: NameGiven::Absent,
        system: PerField::default(),
        fields: Map::new(),
        identities: Vec::new(),
        organization_record_id: None,
        created_at: None,
        updated_at: None,
        unknown: None,
        problems: Vec::new(),
        consents: Vec::new(),
        complete: true,
        sparse: true,
    }
}

/// A consent as its columns say it.
#[derive(Default)]
struct ConsentTold {
    action: Option<String>,
    at: Option<String>,
    wording: Option<String>,
    evidence: Option<String>,
}

struct Draft<'a> {
    reading: &'a Reading,
    system: PerField<Given>,
    whole_name: Given,
    fields: Map<String, Value>,
    identities: Vec<Identity>,
    consents: [ConsentTold; 2],
    organization: [Option<String>; 3],
    told: Told,
    lists: Vec<Value>,
    problems: Vec<Problem>,
}

impl<'a> Draft<'a> {
    fn new(reading: &'a Reading) -> Draft<'a> {
        Draft {
            reading,
            system: PerField::default(),
            whole_name: Given::Absent,
            fields: Map::new(),
            identities: Vec::new(),
            consents: Default::default(),
            organization: Default::default(),
            told: Told::default(),
            lists: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, part: impl Into<String>, reason: Reason) {
        let problem = Problem::new(part, reason);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn take(&mut self, target: Arc<Target>, value: Value) {
        match &*target {
            Target::Ignore => {}
            Target::System(field) => self.system(*field, &value),
            Target::Name => self.whole_name = self.short("name", &value),
            Target::Field(key, kind) => match value::custom(value, *kind) {
                Ok((value, noted)) => {
                    if let Some(reason) = noted {
                        self.problem(key.as_str(), reason);
                    }
                    self.fields.insert(key.clone(), value);
                }
                Err(reason) => self.problem(key.as_str(), reason),
            },
            Target::Consent(channel, part) => self.consent(*channel, *part, &value, &target),
            Target::Organization(part) => {
                let text = self.filled(&target, &value, MAX_SHORT);
                let place = match part {
                    OrganizationPart::Name => 0,
                    OrganizationPart::ExternalId => 1,
                    OrganizationPart::Domain => 2,
                };
                self.organization[place] = text;
            }
            Target::Activity(part) => self.told.take(part, value),
            Target::Activities => self.lists.push(value),
        }
    }

    /// A text that is not empty, or nothing.
    fn filled(&mut self, target: &Target, value: &Value, max: usize) -> Option<String> {
        match self.text(&target.to_string(), value, max) {
            Given::Value(text) => Some(text),
            Given::Absent | Given::Empty => None,
        }
    }

    /// The value of a system field, which is a short text.
    fn short(&mut self, part: &str, value: &Value) -> Given {
        self.text(part, value, MAX_SHORT)
    }

    /// A text without the space around it; `null` and an empty text say that there is none.
    fn text(&mut self, part: &str, value: &Value, max: usize) -> Given {
        if value.is_null() {
            return Given::Empty;
        }
        match value::text_of(value) {
            Ok(text) => {
                let (text, noted) = value::clean(text.trim(), max);
                if let Some(reason) = noted {
                    self.problem(part, reason);
                }
                if text.is_empty() { Given::Empty } else { Given::Value(text) }
            }
            Err(reason) => {
                self.problem(part, reason);
                Given::Absent
            }
        }
    }

    fn system(&mut self, field: SystemField, value: &Value) {
        // What is too long to be an id or an address is none, and a part of it would be another's.
        let too_long = value.as_str().is_some_and(|text| text.trim().len() > MAX_SHORT);
        if too_long && matches!(field, SystemField::ExternalId | SystemField::Email | SystemField::Phone) {
            return self.problem(field.as_str(), "too long; left out");
        }
        let given = self.short(field.as_str(), value);
        self.system[field] = match (field, given) {
            (SystemField::Email, Given::Value(text)) => self.email(&text),
            (SystemField::Phone, Given::Value(text)) => self.phone(text),
            (SystemField::ExternalId, Given::Value(text)) => {
                self.identify(IdentityKind::ExternalId, &text.to_lowercase());
                Given::Value(text)
            }
            (SystemField::FirstName | SystemField::LastName, Given::Value(text)) => {
                if name::is_too_long(&text) {
                    self.problem(field.as_str(), "too long; cut");
                }
                let text = name::clean(&text);
                if text.is_empty() { Given::Empty } else { Given::Value(text) }
            }
            (_, given) => given,
        };
    }

    fn email(&mut self, text: &str) -> Given {
        match Email::parse(text) {
            Ok(email) => {
                self.identify(IdentityKind::Email, email.key());
                Given::Value(email.as_written().to_owned())
            }
            Err(_) => {
                self.problem("email", "not an e-mail address; applied without it");
                Given::Absent
            }
        }
    }

    /// In E.164; with an extension or unreadable as it was written (I4).
    fn phone(&mut self, text: String) -> Given {
        let number = Phone::parse(&text, self.reading.region.as_deref()).ok();
        if let Some(key) = number.as_ref().and_then(Phone::key) {
            self.identify(IdentityKind::Phone, key);
        }
        let dialled = number.filter(|number| number.extension().is_none());
        Given::Value(dialled.map_or(text, |number| number.e164().to_owned()))
    }

    /// Adds an identity if the source uses its kind and its value is not blocked (I3).
    fn identify(&mut self, kind: IdentityKind, key: &str) {
        let used = self.reading.identifiers.contains(&kind);
        if used && !is_blocked(kind.as_str(), key, None, &self.reading.blocked) {
            self.identities.push(Identity { kind, value: key.to_owned(), verified: false });
        }
    }

    fn name(&mut self) -> NameGiven {
        let parts = [SystemField::FirstName, SystemField::LastName];
        if parts.into_iter().any(|field| self.system[field] != Given::Absent) {
            return NameGiven::Parts;
        }
        match std::mem::take(&mut self.whole_name) {
            Given::Absent => NameGiven::Absent,
            Given::Empty => NameGiven::Whole(String::new()),
            Given::Value(name) => {
                if name::is_too_long(&name) {
                    self.problem("name", "too long; cut");
                }
                NameGiven::Whole(name::clean(&name))
            }
        }
    }

    /// What the row is known by: its key, else its external id, else its address, else its phone number where that finds
    /// people, else what it says. None for a row that is nobody's.
    fn record_id(&self, key: Option<&Value>) -> Option<String> {
        let key = key.and_then(|key| value::text_of(key).ok()).map(|key| value::clean(key.trim(), MAX_TEXT).0);
        if let Some(key) = key.filter(|key| (1..=MAX_SHORT).contains(&key.len())) {
            return Some(key);
        }
        let free = |kind: IdentityKind, key: &str| !is_blocked(kind.as_str(), key, None, &self.reading.blocked);
        let (mut somebody, system) = (false, &self.system);
        if let Given::Value(id) = &system[SystemField::ExternalId] {
            somebody = true;
            if free(IdentityKind::ExternalId, &id.to_lowercase()) {
                return Some(id.to_lowercase());
            }
        }
        if let Given::Value(text) = &system[SystemField::Email] {
            somebody = true;
            if let Ok(email) = Email::parse(text)
                && free(IdentityKind::Email, email.key())
            {
                return Some(email.key().to_owned());
            }
        }
        if let Some(phone) = self.identities.iter().find(|identity| identity.kind == IdentityKind::Phone) {
            return Some(phone.value.clone());
        }
        somebody |= matches!(system[SystemField::Phone], Given::Value(_));
        somebody.then(|| format!("row-{:016x}", digest(&(system, &self.whole_name, &self.fields), 0) as u64))
    }

    fn consent(&mut self, channel: Channel, part: ConsentPart, value: &Value, target: &Target) {
        let text = self.filled(target, value, MAX_TEXT);
        let told = &mut self.consents[channel as usize];
        match part {
            ConsentPart::Action => told.action = text,
            ConsentPart::At => told.at = text,
            ConsentPart::Wording => told.wording = text,
            ConsentPart::Evidence => told.evidence = text,
        }
    }

    /// The consents that the row brings. No column is no consent (unlike R44), and what cannot be read never grants.
    fn consents(&mut self) -> Vec<ConsentGiven> {
        let told = std::mem::take(&mut self.consents);
        Channel::ALL.into_iter().zip(told).filter_map(|(channel, told)| self.consented(channel, told)).collect()
    }

    fn consented(&mut self, channel: Channel, told: ConsentTold) -> Option<ConsentGiven> {
        let part = format!("consent.{}", channel.as_str());
        let action = match told.action?.to_lowercase().as_str() {
            "grant" => ConsentAction::Grant,
            "deny" => ConsentAction::Deny,
            "withdraw" => ConsentAction::Withdraw,
            _ => {
                self.problem(part, "none of grant, deny, withdraw; applied without it");
                return None;
            }
        };
        let occurred_at = match told.at.as_deref().map(value::time) {
            Some(None) if action == ConsentAction::Grant => {
                self.problem(format!("{part}.at"), "not a time; applied without the grant");
                return None;
            }
            Some(None) => {
                self.problem(format!("{part}.at"), "not a time; the refusal is taken as one of today");
                None
            }
            at => at.flatten(),
        };
        let usual = match action {
            ConsentAction::Withdraw => Evidence::AdminWithdrawal,
            _ => Evidence::SingleGrant,
        };
        let evidence = match told.evidence.map(|word| Evidence::parse(&word.to_lowercase())) {
            None => usual,
            Some(Some(evidence)) if fits(action, evidence) => evidence,
            Some(_) => {
                self.problem(format!("{part}.evidence"), "not an evidence of this action; the usual one was taken");
                usual
            }
        };
        Some(ConsentGiven { channel, action, evidence, occurred_at, wording: told.wording })
    }

    /// The organization, known by its external id, else its name, else its domain.
    fn organization(&mut self) -> Option<OrganizationRecord> {
        let [name, external_id, domain] = std::mem::take(&mut self.organization);
        let domain = domain.map(|domain| domain.trim_start_matches('@').to_lowercase());
        let record_id = match (&external_id, &name, &domain) {
            (Some(id), ..) => format!("id:{}", id.to_lowercase()),
            (None, Some(name), _) => format!("name:{}", name.to_lowercase()),
            (None, None, Some(domain)) => format!("domain:{domain}"),
            (None, None, None) => return None,
        };
        let name = name.or_else(|| domain.clone());
        Some(OrganizationRecord {
            record_id,
            name,
            external_id,
            domains: domain.into_iter().collect(),
            fields: Map::new(),
            created_at: None,
            updated_at: None,
            deleted_at: None,
            unknown: None,
            problems: Vec::new(),
            complete: true,
        })
    }

    fn activities(&mut self, record_id: &str) -> Vec<ActivityDraft> {
        let (told, lists) = (std::mem::take(&mut self.told), std::mem::take(&mut self.lists));
        let one = happening::one(told, record_id, self.reading.message_bytes);
        let listed = lists.into_iter().flat_map(|list| happening::list(list, record_id, self.reading.message_bytes));
        let mut drafts = Vec::new();
        for read in one.into_iter().chain(listed) {
            drafts.extend(read.draft);
            for (part, reason) in read.problems {
                self.problem(part, reason);
            }
        }
        drafts
    }
}

fn fits(action: ConsentAction, evidence: Evidence) -> bool {
    use Evidence::{
        AdminWithdrawal, ComplaintOrBounce, ConfirmedGrant, OperatorAssertion, SingleGrant, SubjectWithdrawal,
    };
    match action {
        ConsentAction::Withdraw => matches!(evidence, AdminWithdrawal | SubjectWithdrawal | ComplaintOrBounce),
        _ => matches!(evidence, OperatorAssertion | SingleGrant | ConfirmedGrant),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
