//! What an activation says, point by point, and what would change from one definition to another, in words.

use crate::model::activation::{
    Activation, AudiencePart, Conflict, Key, KeyKind, Mapping, Origin, Phones, RollupPart, Rows, Target, Write,
};
use std::collections::{BTreeMap, BTreeSet};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs, such as `map to user_fields.tier`.
    pub what: String,
    /// What is said of it now; None when nothing is.
    pub before: Option<String>,
    /// What would be said of it; None when nothing would be.
    pub after: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "changed: {}: {before} → {after}", self.what),
            (_, Some(after)) => write!(f, "added: {}: {after}", self.what),
            (before, None) => write!(f, "removed: {}: {}", self.what, before.as_deref().unwrap_or_default()),
        }
    }
}

/// What differs, in the order of the new definition, what is removed last.
pub fn compare(before: Option<&Activation>, after: &Activation) -> Vec<Difference> {
    let old = before.map(points).unwrap_or_default();
    let new = points(after);
    let said: BTreeMap<&str, &str> = old.iter().map(|(what, said)| (what.as_str(), said.as_str())).collect();
    let kept: BTreeSet<&str> = new.iter().map(|(what, _)| what.as_str()).collect();
    let changed = new.iter().filter(|(what, now)| said.get(what.as_str()) != Some(&now.as_str())).map(|(what, now)| {
        let before = said.get(what.as_str()).map(|before| (*before).to_owned());
        Difference { what: what.clone(), before, after: Some(now.clone()) }
    });
    let removed = old.iter().filter(|(what, _)| !kept.contains(what.as_str())).map(|(what, before)| Difference {
        what: what.clone(),
        before: Some(before.clone()),
        after: None,
    });
    changed.chain(removed).collect()
}

/// True when the two may want different things of a record: all rows are to be looked at again.
pub fn wants_differ(before: &Activation, after: &Activation) -> bool {
    let wants = |of: &Activation| {
        let records = (of.source.clone(), of.target, of.rows.clone(), of.key.clone(), of.consent);
        (records, of.mappings.clone(), of.tags.clone(), of.memberships, of.phones)
    };
    wants(before) != wants(after)
}

/// What an activation says: what it is about, and what is said of it.
pub fn points(of: &Activation) -> Vec<(String, String)> {
    let mut all = vec![
        point("title", &of.title),
        point("source", &of.source),
        point("target", of.target.as_str()),
        point("rows", rows(of)),
    ];
    if let Rows::Query { timeout_secs, max_rows, .. } = &of.rows {
        all.push(point("query", format!("{timeout_secs} s and {max_rows} rows at most")));
    }
    all.push(point("key", key(&of.key)));
    all.extend(of.mappings.iter().map(|mapping| point(format!("map to {}", mapping.to), said_of(mapping))));
    all.extend(of.tags.iter().map(|tag| {
        let worn = tag.audience.as_ref().map(|name| format!("worn while in audience {name}"));
        point(format!("tag {}", tag.tag), worn.unwrap_or_else(|| "worn while the row is there".to_owned()))
    }));
    if of.memberships {
        all.push(point("memberships", "the person's organizations"));
    }
    if let Some(channel) = of.consent {
        all.push(point("consent", format!("only who may be sent {}", channel.as_str())));
    }
    if of.phones == Phones::Us {
        all.push(point("phones", "+1 and ten digits only"));
    }
    all.extend(of.personal_data.iter().map(|name| point(format!("personal data {name}"), "may go to Zendesk")));
    all.extend(times(of));
    all.extend(guards(of));
    all
}

fn point(what: impl Into<String>, said: impl Into<String>) -> (String, String) {
    (what.into(), said.into())
}

fn rows(of: &Activation) -> String {
    match &of.rows {
        Rows::Audiences(names) => {
            let whose = if of.target == Target::Organizations { "organizations of " } else { "" };
            format!("{whose}who is or was in {}", names.join(" or "))
        }
        Rows::Query { sql, key, .. } => {
            format!("by {key} of: {}", sql.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

fn key(key: &Key) -> String {
    let by = match &key.by {
        KeyKind::RecordId => "record_id",
        KeyKind::ExternalId => "external_id",
        KeyKind::Email => "email",
        KeyKind::Field(name) => name,
    };
    let from = key.from.as_ref().map_or_else(|| "known already".to_owned(), origin);
    let absent = if key.create { "created where absent" } else { "never created" };
    format!("by {by}, {from}; {absent}")
}

/// Where a mapping's value comes from and when it is written, in words.
pub fn said_of(mapping: &Mapping) -> String {
    let write = match mapping.write {
        Write::Always => "",
        Write::IfEmpty => ", only where Zendesk has nothing",
        Write::NeverClear => ", never cleared",
    };
    let conflict = match mapping.conflict {
        Conflict::Keep => "",
        Conflict::Overwrite => ", replaces what people change in Zendesk",
    };
    format!("{}{write}{conflict}", origin(&mapping.from))
}

/// An origin in words.
pub fn origin(of: &Origin) -> String {
    match of {
        Origin::Field(field) => format!("from {}", field.name()),
        Origin::FullName => "from name".to_owned(),
        Origin::Rollup(kind, part) => {
            let part = match part {
                RollupPart::First => "first time of",
                RollupPart::Last => "last time of",
                RollupPart::Count => "number of",
            };
            format!("{part} {kind}")
        }
        Origin::Consent(channel) => format!("consent to {}", channel.as_str()),
        Origin::Audience(name, AudiencePart::Status) => format!("status in audience {name}"),
        Origin::Audience(name, AudiencePart::EnteredAt) => format!("when audience {name} was entered"),
        Origin::Audience(name, AudiencePart::ExitedAt) => format!("when audience {name} was left"),
        Origin::Column(name) => format!("from column {name}"),
        Origin::Constant(value) => format!("always {value}"),
        Origin::Template(text) => format!("template {text:?}"),
    }
}

fn times(of: &Activation) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if of.when.always {
        all.push(point("always on", "within seconds of a change"));
    }
    if let Some((cron, zone)) = &of.when.cron {
        all.push(point("clock", zone.map_or_else(|| cron.clone(), |zone| format!("{cron} in {zone}"))));
    }
    if of.when.after_sync {
        all.push(point("after sync", "a run after each sync of contacts"));
    }
    all
}

fn guards(of: &Activation) -> Vec<(String, String)> {
    let guards = &of.guards;
    let stages = if guards.stages { "one record, ten, one in a hundred, all" } else { "all at once" };
    vec![
        point(
            "stops and asks above",
            format!(
                "{} records changed, {} % of the rows, {} fields cleared, {} records created",
                guards.max_changed, guards.max_changed_percent, guards.max_cleared, guards.max_created
            ),
        ),
        point("stops above", format!("{} % failed", guards.max_failed_percent)),
        point("alerts above", format!("{} % skipped", guards.alert_skipped_percent)),
        point("roll-out", stages),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::activation::read::read;

    const FILE: &str = "name = \"n\"\nsource = \"acme\"\ntarget = \"users\"\n[rows]\naudiences = [\"a\"]\n";

    fn file(rest: &str) -> Activation {
        read(&format!("{FILE}{rest}")).expect("a definition")
    }

    /// Checks what is said of the difference of two files, and whether they want different things.
    fn check(before: &str, after: &str, expected: &[&str], differ: bool) {
        let (before, after) = (file(before), file(after));
        let said: Vec<String> = compare(Some(&before), &after).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
        assert_eq!(wants_differ(&before, &after), differ, "{expected:?}");
    }

    #[test]
    fn differences_in_words() {
        let map = "[[map]]\nto = \"notes\"\nvalue = 1\n";
        let tag = "[[tag]]\ntag = \"t\"\naudience = \"a\"\n";
        check(map, map, &[], false);
        check(map, &format!("[when]\nalways = true\n{map}"), &["added: always on: within seconds of a change"], false);
        check(
            &format!("[when]\ncron = \"0 6 * * *\"\n{map}"),
            &format!("[when]\ncron = \"0 7 * * *\"\nzone = \"Europe/Rome\"\n{map}"),
            &["changed: clock: 0 6 * * * → 0 7 * * * in Europe/Rome"],
            false,
        );
        check(
            map,
            &format!("[guards]\nstages = true\n{map}"),
            &["changed: roll-out: all at once → one record, ten, one in a hundred, all"],
            false,
        );
        check(map, &format!("{map}{tag}"), &["added: tag t: worn while in audience a"], true);
        check(&format!("{map}{tag}"), map, &["removed: tag t: worn while in audience a"], true);
        check(
            map,
            "[[map]]\nto = \"notes\"\nfrom = \"zd.x\"\nwrite = \"if_empty\"\nconflict = \"overwrite\"\n",
            &[
                "changed: map to notes: always 1 → from zd.x, only where Zendesk has nothing, replaces what people change in Zendesk",
            ],
            true,
        );
        check(
            map,
            &format!("[key]\nby = \"external_id\"\nfrom = \"zd.no\"\ncreate = true\n{map}"),
            &[
                "changed: key: by record_id, known already; never created → by external_id, from zd.no; created where absent",
            ],
            true,
        );
    }

    #[test]
    fn a_new_definition_is_all_added() {
        let new = compare(None, &file("[[map]]\nto = \"notes\"\nvalue = \"x\"\n"));
        assert!(new.iter().all(|one| one.before.is_none() && one.after.is_some()));
        assert!(new.iter().any(|one| one.to_string() == "added: map to notes: always \"x\""), "{new:?}");
    }
}
