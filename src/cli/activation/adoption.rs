//! What a plan says besides its records: what is wrong with fields, and at a first sync which rows meet which records.

use crate::cli::output::{Table, count, note, plain, say};
use crate::cli::session::Session;
use crate::db;
use crate::db::push_run::Run;
use crate::model::push::RunState;
use crate::pipeline::activate::adopt::{self, Group};
use crate::pipeline::activate::preflight::Preflight;
use crate::rules::activation::adoption::Kind;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::path::Path;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// The adoption report of a run, with examples while it is a plan that waits; empty unless it is a first sync.
pub async fn of(db: &mut PgConnection, run: &Run) -> anyhow::Result<Vec<Group>> {
    if run.state == RunState::Planned && !run.counts.adoption.is_empty() {
        return Ok(adopt::report(db, run).await?.unwrap_or_default());
    }
    let group = |kind: Kind| {
        let count = *run.counts.adoption.get(kind.as_str())?;
        Some(Group { kind, count, examples: Vec::new() })
    };
    Ok(Kind::ALL.into_iter().filter_map(group).collect())
}

/// As JSON: by kind; null unless it is a first sync.
pub fn as_json(groups: &[Group]) -> Value {
    let one = |group: &Group| {
        let of = json!({"count": group.count, "meaning": group.kind.words(), "examples": group.examples});
        (group.kind.as_str().to_owned(), of)
    };
    if groups.is_empty() { Value::Null } else { Value::Object(groups.iter().map(one).collect()) }
}

/// Prints it; `key` is what finds records.
pub fn print(groups: &[Group], run: &Run, key: &str) {
    if groups.is_empty() {
        return;
    }
    let waits = run.state == RunState::Planned;
    let (told, headings) = match waits {
        true => ("meet; nothing is written yet", &["how", "count", "what it means", "the first of them"][..]),
        false => ("met", &["how", "count", "what it means"][..]),
    };
    say(format_args!("\nFirst sync: how rows and records {told}:"));
    let mut table = Table::new(headings);
    for group in groups {
        let name = match group.kind {
            Kind::ByKey => format!("by {key}"),
            kind => kind.as_str().replace('_', " "),
        };
        let examples = waits.then(|| group.examples.join(", "));
        table.row([name, group.count.to_string(), group.kind.words().to_owned()].into_iter().chain(examples));
    }
    table.print();
}

/// Prints what is wrong with target fields, and what should be known.
pub fn print_look(looked: &Preflight) {
    for fault in &looked.problems {
        say(format_args!("Problem: {}: {}", plain(fault.field.as_deref().unwrap_or("the file")), plain(&fault.reason)));
    }
    looked.remarks.iter().for_each(|remark| say(format_args!("Note: {}.", plain(remark))));
    if !(looked.problems.is_empty() && looked.remarks.is_empty()) {
        say("");
    }
}

/// Writes every row and every record without one, and how they meet.
pub async fn csv(session: &Session, run: &Run, path: &Path) -> anyhow::Result<()> {
    if run.counts.adoption.is_empty() {
        note("No adoption report: Zendesk was given something for this activation already.");
        return Ok(());
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["how", "row", "person", "record", "key", "reason"])?;
    let (mut db, mut lines) = (session.db().await?, 0_u64);
    let mut after = 0;
    loop {
        let page = db::adoption::page(&mut db, session.workspace, run.id, run.source_id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for met in &page {
            let person = met.person_id.map(|id| id.to_string()).unwrap_or_default();
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let (kind, record) = (adopt::kind_of(met).as_str(), text(&met.record_id));
            writer.write_record([kind, &met.row_key, &person, &record, &text(&met.key_value), &text(&met.reason)])?;
            lines += 1;
        }
    }
    let mut after = String::new();
    let place = (run.activation_id, run.id, run.source_id);
    while run.counts.adoption.contains_key(Kind::OnlyThere.as_str()) {
        let page = db::adoption::only_there(&mut db, session.workspace, place, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        for record in &page {
            writer.write_record([Kind::OnlyThere.as_str(), "", "", record, "", ""])?;
            lines += 1;
        }
    }
    let text = writer.into_inner()?;
    if path == Path::new("-") {
        say(String::from_utf8(text)?.trim_end());
    } else {
        std::fs::write(path, text)?;
        note(format_args!("{} written to {}.", count(lines, "line", "lines"), path.display()));
    }
    Ok(())
}
