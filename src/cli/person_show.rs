//! `person show` and `person explain`.

use super::error::failed;
use super::output::{Format, Table, plain, say, say_json, time};
use super::session::Session;
use crate::db;
use crate::model::consent::{Channel, ConsentEvent};
use crate::model::field::SystemField;
use crate::model::person::Person;
use crate::model::source::{MergeStrategy, Source, SourceState};
use crate::rules::consent;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// Activities shown.
const NEWEST: i64 = 20;

/// A JSON value as it stands in a table.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

async fn sources(session: &Session) -> anyhow::Result<Vec<Source>> {
    let mut all = db::source::all(&mut *session.db().await?).await?;
    all.retain(|source| source.workspace_id == session.workspace);
    Ok(all)
}

/// Name of a source by its number; operators have 0.
fn name_of(sources: &[Source], id: &Value) -> String {
    match id.as_i64() {
        Some(0) => "operator".to_string(),
        Some(id) => sources
            .iter()
            .find(|source| source.id == id)
            .map_or_else(|| format!("source {id}"), |source| source.name.clone()),
        None => String::new(),
    }
}

async fn row(session: &Session, id: i64) -> anyhow::Result<Value> {
    let row = db::person::show(&mut *session.db().await?, session.workspace, id).await?;
    row.ok_or_else(|| failed(format!("there is no person {id}"), "see deskbridge person find"))
}

/// Shows a person.
pub async fn show(session: &Session, id: i64, format: Format) -> anyhow::Result<()> {
    let person = row(session, id).await?;
    let mut db = session.db().await?;
    let parts = db::profile::load(&mut db, session.workspace, id).await?;
    let activities = db::activity::newest(&mut db, session.workspace, id, NEWEST).await?;
    drop(db);
    if format.json {
        let mut whole = parts;
        whole.insert("person".into(), person);
        whole.insert("activities".into(), Value::Array(activities));
        say_json(&Value::Object(whole));
        return Ok(());
    }
    let sources = sources(session).await?;
    head(&person);
    section(&parts, "identities", &["kind", "value", "verified", "source_id", "record_id"], &sources);
    section(
        &parts,
        "records",
        &["source_id", "record_id", "status", "name", "record_updated_at", "problems"],
        &sources,
    );
    section(&parts, "organizations", &["id", "name", "source_id", "record_id"], &sources);
    if let Some(summary) = parts["support_summary"].get(0).and_then(Value::as_object) {
        say("\nsupport");
        let mut table = Table::new(&[]);
        for (key, value) in summary
            .iter()
            .filter(|(key, value)| !matches!(key.as_str(), "workspace_id" | "person_id") && !value.is_null())
        {
            table.row([format!("  {key}"), cell(key, value)]);
        }
        table.print();
    }
    section(&parts, "rollups", &["type", "total", "first_at", "last_at"], &sources);
    if !activities.is_empty() {
        say(format_args!("\nlast activities (of {NEWEST} at most)"));
        rows(&activities, &["occurred_at", "type", "ticket_id", "attributes", "message"], &sources);
    }
    Ok(())
}

fn head(person: &Value) {
    let mut table = Table::new(&[]);
    let columns = [
        "id",
        "first_name",
        "last_name",
        "email",
        "phone",
        "locale",
        "time_zone",
        "external_id",
        "email_consent",
        "sms_consent",
    ];
    for column in
        columns.into_iter().chain(["created_at", "updated_at", "archived_at", "archive_reason", "delete_after"])
    {
        if !person[column].is_null() {
            table.row([column.to_string(), cell(column, &person[column])]);
        }
    }
    for (key, value) in person["fields"].as_object().into_iter().flatten() {
        table.row([key.clone(), text(value)]);
    }
    table.print();
}

/// A part of a profile as a table; nothing where it is empty.
fn section(parts: &Map<String, Value>, name: &str, columns: &[&str], sources: &[Source]) {
    let items = parts.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !items.is_empty() {
        say(format_args!("\n{}", name.replace('_', " ")));
        rows(items, columns, sources);
    }
}

fn rows(items: &[Value], columns: &[&str], sources: &[Source]) {
    const WIDEST: usize = 60;
    let heading = |column: &&str| column.trim_end_matches("_id").replace('_', " ");
    let mut headings: Vec<String> = columns.iter().map(heading).collect();
    indent(&mut headings);
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for item in items {
        let cell = |column: &&str| {
            let cell = match *column {
                "source_id" => name_of(sources, &item[*column]),
                column => cell(column, &item[column]),
            };
            let short: String = cell.chars().take(WIDEST).collect();
            format!("{short}{}", if cell.chars().count() > WIDEST { "…" } else { "" })
        };
        let mut cells: Vec<String> = columns.iter().map(cell).collect();
        indent(&mut cells);
        table.row(cells);
    }
    table.print();
}

fn indent(cells: &mut [String]) {
    if let Some(first) = cells.first_mut() {
        first.insert_str(0, "  ");
    }
}

/// A value as it stands in a table; times in their short form.
fn cell(column: &str, value: &Value) -> String {
    let at = value.as_str().filter(|_| column.ends_with("at") || column == "delete_after");
    match at.and_then(|at| at.parse::<DateTime<Utc>>().ok()) {
        Some(at) => time(at),
        None => text(value),
    }
}

/// Explains a person.
pub async fn explain(session: &Session, id: i64, field: Option<&str>, format: Format) -> anyhow::Result<()> {
    let raw = row(session, id).await?;
    let sources = sources(session).await?;
    let mut db = session.db().await?;
    let loaded = db::person::load(&mut db, session.workspace, &[id]).await?;
    let parts = db::profile::load(&mut db, session.workspace, id).await?;
    let ledger = db::consent::load(&mut db, session.workspace, &[id]).await?.remove(&id).unwrap_or_default();
    drop(db);
    let person =
        loaded.first().ok_or_else(|| failed(format!("there is no person {id}"), "see deskbridge person find"))?;
    let mut fields = fields(person, &raw, &sources);
    if let Some(field) = field {
        fields.retain(|explained| explained["field"] == field);
        if fields.is_empty() {
            let known = SystemField::ALL.map(SystemField::as_str).join(", ");
            return Err(failed(
                format!("person {id} has no field {field:?}"),
                format!("fields are {known}, and those that person show lists"),
            ));
        }
    }
    let consents: Vec<Value> = Channel::ALL.iter().map(|channel| fold(*channel, &ledger, person)).collect();
    if format.json {
        let more = |name: &str| parts[name].clone();
        let mut whole = json!({"id": id, "fields": fields});
        if field.is_none() {
            whole["merges"] = more("merges");
            whole["aliases"] = more("aliases");
            whole["merge_candidates"] = more("merge_candidates");
            whole["consents"] = more("consents");
            whole["consent_states"] = Value::Array(consents);
        }
        say_json(&whole);
        return Ok(());
    }
    rows(&fields, &["field", "value", "written_by", "at", "record", "policies"], &sources);
    if field.is_some() {
        return Ok(());
    }
    section(&parts, "merges", &["loser_id", "merged_at", "actor", "reason", "undone_at"], &sources);
    section(&parts, "aliases", &["alias_id", "created_at"], &sources);
    section(
        &parts,
        "merge_candidates",
        &["person_id", "reason", "source_id", "record_id", "created_at", "dismissed_at"],
        &sources,
    );
    section(
        &parts,
        "consents",
        &["id", "channel", "action", "evidence", "actor", "wording", "occurred_at", "recorded_at"],
        &sources,
    );
    say("");
    for consent in &consents {
        say(format_args!("consent to {}: {}", text(&consent["channel"]), text(&consent["why"])));
    }
    Ok(())
}

/// Every field with its value, its last writer and who may write it.
fn fields(person: &Person, raw: &Value, sources: &[Source]) -> Vec<Value> {
    let system = SystemField::ALL.map(|field| (field.as_str().to_string(), json!(person.system[field])));
    let custom = person.fields.iter().map(|(key, value)| (key.clone(), value.clone()));
    system.into_iter().chain(custom).map(|(field, value)| {
        let (written_by, at, record) = match person.provenance.get(&field) {
            Some(stamp) => (name_of(sources, &stamp["source"]), stamp["at"].clone(), stamp["record"].clone()),
            None if value.is_null() => (String::new(), Value::Null, Value::Null),
            None => (format!("{} (creation)", name_of(sources, &raw["created_source_id"])), raw["created_at"].clone(), raw["created_record"].clone()),
        };
        let policies = policies(&field, sources);
        json!({"field": field, "value": value, "written_by": written_by, "at": at, "record": record, "policies": policies})
    }).collect()
}

/// What each source may do to a field of somebody who is there already.
fn policies(field: &str, sources: &[Source]) -> String {
    let may = |source: &Source| match (SystemField::parse(field), source.settings.merge) {
        (Some(field), _) => json!(source.settings.policy(field)).as_str().unwrap_or_default().to_string(),
        (None, _) if field.starts_with("zd.") => {
            if source.kind == "zendesk" { "follows Zendesk" } else { "never" }.to_string()
        }
        (None, MergeStrategy::Overwrite) => "overwrite".to_string(),
        (None, MergeStrategy::Append) => "fill_empty".to_string(),
        (None, MergeStrategy::Ignore) => "never".to_string(),
    };
    let present = sources.iter().filter(|source| source.state != SourceState::Deleted);
    present.map(|source| format!("{}: {}", source.name, may(source))).collect::<Vec<_>>().join(", ")
}

/// What a ledger comes to on a channel, and which entries decide that: those without which it would come to something else.
fn fold(channel: Channel, ledger: &[ConsentEvent], person: &Person) -> Value {
    let state = consent::fold_channel(ledger, channel);
    let stored = match channel {
        Channel::Email => person.email_consent,
        Channel::Sms => person.sms_consent,
    };
    let decides = |event: &&ConsentEvent| {
        let without: Vec<ConsentEvent> = ledger.iter().filter(|other| other.id != event.id).cloned().collect();
        event.channel == channel && consent::fold_channel(&without, channel) != state
    };
    let deciding: Vec<&ConsentEvent> = ledger.iter().filter(decides).collect();
    let words: Vec<String> = deciding
        .iter()
        .map(|event| format!("entry {} ({} by {})", event.id, event.action.as_str(), event.evidence.as_str()))
        .collect();
    let entries = ledger.iter().filter(|event| event.channel == channel).count();
    let because = match (entries, words.is_empty()) {
        (0, _) => "the ledger holds nothing".to_string(),
        (_, false) => format!("because of {}", words.join(" and ")),
        (_, true) => format!("several of its {entries} entries say so; none decides it alone"),
    };
    let suppressed = if stored == state {
        String::new()
    } else {
        format!("; stored as {} (the address is suppressed)", stored.as_str())
    };
    let may = if stored.may_send() { "may be written to" } else { "must not be written to" };
    json!({
        "channel": channel, "state": stored, "ledger_state": state, "may_send": stored.may_send(),
        "deciding": deciding.iter().map(|event| event.id).collect::<Vec<_>>(),
        "why": format!("{}, {may}: {because}{suppressed}", state.as_str()),
    })
}
