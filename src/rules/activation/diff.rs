//! What is sent for one record: what is wanted, against what Zendesk has, against what we last wrote (three-way, §d 2 of the
//! notes on peers).
//!
//! What a person changed in Zendesk after we wrote it is theirs, unless the mapping says otherwise; tags and memberships are
//! taken away only where we gave them; agents, shared and deleted records are never written.

use super::value::{is_empty, same};
use crate::model::activation::{Activation, AudiencePart, Conflict, KeyKind, Origin, Target, Write};
use crate::model::push::{Changes, Delivered, Fault, Remote, Standing, TargetField, Values, Wanted};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Never written, whatever a mapping says (§d 10).
const NEVER: [&str; 3] = ["role", "verified", "suspended"];

/// How the fields of an activation are written.
#[derive(Debug, Clone)]
pub struct Terms {
    target: Target,
    key: KeyKind,
    create: bool,
    fields: BTreeMap<String, Term>,
}

/// How one field is written.
#[derive(Debug, Clone)]
struct Term {
    field: TargetField,
    write: Write,
    conflict: Conflict,
    audience: Option<AudiencePart>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is sent.
    Write {
        /// What changes.
        changes: Changes,
        /// What Zendesk has of it now; None: it is not there and is created.
        before: Option<Remote>,
        /// Fields left as Zendesk has them, and why: `filled`, `changed_in_zendesk`.
        kept: BTreeMap<String, String>,
    },
    /// Zendesk has it all.
    Unchanged {
        /// As above.
        kept: BTreeMap<String, String>,
    },
    /// Left out on purpose.
    Skip(Fault),
    /// Not written.
    Fail(Fault),
}

/// What to do with one field.
#[derive(Debug, PartialEq)]
enum Step {
    Nothing,
    Write,
    Keep(&'static str),
}

impl Terms {
    /// The terms of an activation for an account that has these fields.
    pub fn of(activation: &Activation, fields: &[TargetField]) -> Terms {
        let known: BTreeMap<&str, &TargetField> = fields.iter().map(|field| (field.name.as_str(), field)).collect();
        let terms = activation.mappings.iter().filter_map(|mapping| {
            let audience = match mapping.from {
                Origin::Audience(_, part) => Some(part),
                _ => None,
            };
            let field = (*known.get(mapping.to.as_str())?).clone();
            Some((mapping.to.clone(), Term { field, write: mapping.write, conflict: mapping.conflict, audience }))
        });
        let key = activation.key.by.clone();
        Terms { target: activation.target, key, create: activation.key.create, fields: terms.collect() }
    }

    /// The terms under which what a run replaced is given back: empty values too, nothing that others changed since, and
    /// nobody is created.
    pub fn for_undo(mut self) -> Terms {
        for term in self.fields.values_mut() {
            (term.write, term.conflict) = (Write::Always, Conflict::Keep);
        }
        self.create = false;
        self
    }

    /// The definition of a field.
    pub fn field(&self, name: &str) -> Option<&TargetField> {
        self.fields.get(name).map(|term| &term.field)
    }

    /// Are two values of a field one, in its type?
    pub fn same(&self, name: &str, a: &Value, b: &Value) -> bool {
        self.field(name).map_or(a == b, |field| same(field, a, b))
    }

    /// By what a record that is not there is created, so that creating it twice makes one: the key, or what is wanted of an
    /// external id or address. None where nothing tells it apart.
    pub fn creation_key(&self, key_value: Option<&str>, wanted: &Wanted) -> Option<(KeyKind, String)> {
        let of = |name: &str| wanted.values.get(name).and_then(Value::as_str).map(str::to_owned);
        let by_key = match self.key {
            KeyKind::ExternalId | KeyKind::Email => key_value.map(|value| (self.key.clone(), value.to_owned())),
            _ => None,
        };
        let address = if self.target == Target::Organizations { "name" } else { "email" };
        by_key
            .or_else(|| Some((KeyKind::ExternalId, of("external_id")?)))
            .or_else(|| Some((KeyKind::Email, of(address)?)))
    }

    /// True when one who is not there would be created.
    pub fn creates(&self, wanted: &Wanted) -> bool {
        self.create && !self.is_exit(wanted)
    }

    /// True when the row only says that somebody left: no membership of an audience, no tag, nothing else.
    pub fn is_exit(&self, wanted: &Wanted) -> bool {
        let value = |(name, value): (&String, &Value)| {
            let part = self.fields.get(name).and_then(|term| term.audience);
            part.is_some() && (part != Some(AudiencePart::Status) || value != "realized")
        };
        wanted.values.iter().all(value)
            && !wanted.tags.values().any(|worn| *worn)
            && !wanted.organizations.values().any(|member| *member)
    }
}

/// Decides about one record. `known`: its id was known, so that one who is not found is gone.
pub fn diff(
    terms: &Terms,
    wanted: &Wanted,
    key_value: Option<&str>,
    known: bool,
    remote: Option<&Remote>,
    last: Option<&Delivered>,
) -> Decision {
    for name in wanted.values.keys() {
        if NEVER.contains(&name.as_str()) {
            return Decision::Fail(Fault::of(name, "forbidden_field", "this field is never written"));
        }
        let gone = remote.is_some_and(|remote| is_custom(name) && !remote.values.contains_key(name));
        if !terms.fields.contains_key(name) || gone {
            return Decision::Fail(Fault::of(name, "field_missing", "Zendesk does not have this field (any more)"));
        }
    }
    let deleted = || {
        let fault = Fault::new("deleted", "the record was deleted in Zendesk, or merged into another");
        if terms.is_exit(wanted) { Decision::Skip(fault) } else { Decision::Fail(fault) }
    };
    let Some(remote) = remote else {
        return if known { deleted() } else { create(terms, wanted, key_value) };
    };
    match remote.standing {
        Standing::Normal | Standing::Suspended => change(terms, wanted, remote, last),
        Standing::Deleted => deleted(),
        Standing::Agent => Decision::Fail(Fault::new("agent", "an agent or admin: only end users are written")),
        Standing::Shared => {
            Decision::Fail(Fault::new("shared", "shared by another account, which alone may change it"))
        }
    }
}

/// True for a field that the account defined itself.
pub fn is_custom(name: &str) -> bool {
    name.starts_with("user_fields.") || name.starts_with("organization_fields.")
}

/// One who is not there (Amperity's rules: name, or e-mail, or external id).
fn create(terms: &Terms, wanted: &Wanted, key_value: Option<&str>) -> Decision {
    if !terms.creates(wanted) {
        return Decision::Skip(Fault::new("not_in_zendesk", "no record in Zendesk has this key"));
    }
    let key = terms.creation_key(key_value, wanted);
    let named = ["name", "email", "external_id"]
        .iter()
        .any(|name| wanted.values.get(*name).is_some_and(|value| !is_empty(value)));
    if key.is_none() && !named {
        let why = "to be created it needs a name, an e-mail address or an external id";
        return Decision::Fail(Fault::new("not_identified", why));
    }
    if key.is_none() {
        let why = "to be created it needs an e-mail address or an external id by which it is found again";
        return Decision::Fail(Fault::new("not_identified", why));
    }
    let some =
        |flags: &BTreeMap<String, bool>| flags.iter().filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect();
    let changes = Changes {
        values: wanted
            .values
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
        add_tags: some(&wanted.tags),
        join: some(&wanted.organizations),
        ..Changes::default()
    };
    Decision::Write { changes, before: None, kept: BTreeMap::new() }
}

/// One who is there.
fn change(terms: &Terms, wanted: &Wanted, remote: &Remote, last: Option<&Delivered>) -> Decision {
    // What we wrote to another record says nothing about this one.
    let last = last.filter(|last| last.record_id.as_ref().is_none_or(|id| *id == remote.id));
    let nothing = Delivered::default();
    let last = last.unwrap_or(&nothing);
    let (mut changes, mut kept) = (Changes::default(), BTreeMap::new());
    for (name, value) in &wanted.values {
        let Some(term) = terms.fields.get(name) else { continue };
        let theirs = remote.values.get(name).unwrap_or(&Value::Null);
        match step(term, value, theirs, last.written.get(name).map(|written| &written.v)) {
            Step::Nothing => {}
            Step::Write => _ = changes.values.insert(name.clone(), value.clone()),
            Step::Keep(why) => _ = kept.insert(name.clone(), why.to_owned()),
        }
    }
    for (tag, worn) in &wanted.tags {
        match (*worn, has_tag(remote, tag)) {
            (true, false) => _ = changes.add_tags.insert(tag.clone()),
            (false, true) if last.owned.tags.contains(tag) => _ = changes.remove_tags.insert(tag.clone()),
            _ => {}
        }
    }
    memberships(wanted, remote, last, &mut changes);
    match changes.is_empty() {
        true => Decision::Unchanged { kept },
        false => Decision::Write { changes, before: Some(excerpt(remote, wanted)), kept },
    }
}

/// True when a record wears a tag; Zendesk keeps tags in small letters.
pub(super) fn has_tag(remote: &Remote, tag: &str) -> bool {
    remote.tags.contains(tag) || remote.tags.iter().any(|theirs| theirs.to_lowercase() == tag.to_lowercase())
}

/// Joins what is wanted; leaves what we joined, but never the default organization.
fn memberships(wanted: &Wanted, remote: &Remote, last: &Delivered, changes: &mut Changes) {
    let Some(member_of) = &remote.organizations else { return };
    for (id, member) in &wanted.organizations {
        let place = member_of.iter().position(|theirs| theirs == id);
        match (*member, place) {
            (true, None) => _ = changes.join.insert(id.clone()),
            (false, Some(1..)) if last.owned.organizations.contains(id) => _ = changes.leave.insert(id.clone()),
            _ => {}
        }
    }
}

fn step(term: &Term, wanted: &Value, theirs: &Value, last: Option<&Value>) -> Step {
    let same = |a: &Value, b: &Value| same(&term.field, a, b);
    if same(wanted, theirs) || (term.write == Write::NeverClear && is_empty(wanted)) {
        return Step::Nothing;
    }
    let ours = last.is_some_and(|last| same(last, theirs));
    if term.write == Write::IfEmpty && !is_empty(theirs) && !ours {
        return Step::Keep("filled");
    }
    let Some(last) = last else { return Step::Write };
    // An address that is written becomes a second one (Z§3): the first one stays what it is.
    if term.field.kind == "email" && same(wanted, last) {
        return Step::Nothing;
    }
    let moved = term.conflict == Conflict::Overwrite && !same(wanted, last);
    if ours || moved { Step::Write } else { Step::Keep("changed_in_zendesk") }
}

/// What a record has of what is wanted: its before-image.
pub fn excerpt(remote: &Remote, wanted: &Wanted) -> Remote {
    let values: Values =
        wanted.values.keys().map(|name| (name.clone(), remote.values.get(name).cloned().unwrap_or_default())).collect();
    let tags: BTreeSet<String> = wanted.tags.keys().filter(|tag| has_tag(remote, tag)).cloned().collect();
    let member_of = remote.organizations.as_ref().filter(|_| !wanted.organizations.is_empty());
    let organizations =
        member_of.map(|all| all.iter().filter(|id| wanted.organizations.contains_key(*id)).cloned().collect());
    Remote { id: remote.id.clone(), values, tags, organizations, standing: remote.standing, updated_at: None }
}

/// The tags that a record has after a change: Zendesk replaces the whole set (Z§12).
pub fn tags_after(remote: Option<&Remote>, changes: &Changes) -> BTreeSet<String> {
    let removed: BTreeSet<String> = changes.remove_tags.iter().map(|tag| tag.to_lowercase()).collect();
    let theirs = remote.into_iter().flat_map(|remote| &remote.tags);
    theirs.filter(|tag| !removed.contains(&tag.to_lowercase())).chain(&changes.add_tags).cloned().collect()
}

#[cfg(test)]
impl Terms {
    /// Fields of text that are always written, for tests.
    pub(super) fn plain(target: Target, names: &[&str]) -> Terms {
        let term = |name: &&str| {
            let kind = if ["email", "external_id"].contains(name) { name } else { "text" };
            let field = TargetField {
                name: name.to_string(),
                kind: kind.to_string(),
                active: true,
                options: Vec::new(),
                pattern: None,
                max_chars: None,
            };
            (name.to_string(), Term { field, write: Write::Always, conflict: Conflict::Keep, audience: None })
        };
        Terms { target, key: KeyKind::RecordId, create: false, fields: names.iter().map(term).collect() }
    }
}

#[cfg(test)]
mod tests;
