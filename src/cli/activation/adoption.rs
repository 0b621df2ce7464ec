//! What a plan says besides its records: what is wrong with fields, and at a first sync which rows meet which records.

use crate::cli::output::{Table, count, note, plain, say};
use crate::cli::session::Session;
use crate::db;
use crate::db::push_run::Run;
use crate::model::activation::KeyKind;
use crate::model::push::RunState;
use crate::pipeline::activate::adopt::{self, Group};
use crate::pipeline::activate::preflight::Preflight;
use crate::rules::activation::adoption::Kind;
use crate::rules::activation::row::key_word;
use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Records without a row that are read at once: each page looks through all of them.
const ONLY_THERE: i64 = 100_000;

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

/// Prints it; `by` is what finds records.
pub fn print(groups: &[Group], run: &Run, by: &KeyKind) {
    if groups.is_empty() {
        return;
    }
    let by_id = *by == KeyKind::RecordId;
    let waits = run.state == RunState::Planned;
    let (told, headings) = match waits {
        true => ("meet; nothing is written yet", &["how", "count", "what it means", "the first of them"][..]),
        false => ("met", &["how", "count", "what it means"][..]),
    };
    say(format_args!("\nFirst sync: how rows and records {told}:"));
    let mut table = Table::new(headings);
    for group in groups {
        // Where records are known by their ids, no key finds any.
        if group.kind == Kind::ByKey && group.count == 0 && by_id {
            continue;
        }
        let name = match group.kind {
            Kind::ByKey => format!("by {}", key_word(by)),
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
    let mut sheet = Sheet::to(path)?;
    sheet.add([["how", "row", "person", "record", "key", "reason"].map(str::to_owned)])?;
    let (mut db, mut after) = (session.db().await?, 0);
    loop {
        let page = db::adoption::page(&mut db, session.workspace, run.id, run.source_id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        sheet.add(page.iter().map(|met| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let person = met.person_id.map(|id| id.to_string()).unwrap_or_default();
            let kind = adopt::kind_of(met).as_str().to_owned();
            [kind, met.row_key.clone(), person, text(&met.record_id), text(&met.key_value), text(&met.reason)]
        }))?;
    }
    let mut after = String::new();
    let place = (run.activation_id, run.id, run.source_id);
    while run.counts.adoption.contains_key(Kind::OnlyThere.as_str()) {
        let page = db::adoption::only_there(&mut db, session.workspace, place, &after, ONLY_THERE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(last);
        let none = String::new;
        let kind = || Kind::OnlyThere.as_str().to_owned();
        sheet.add(page.iter().map(|record| [kind(), none(), none(), record.clone(), none(), none()]))?;
    }
    if sheet.file.is_some() {
        note(format_args!("{} written to {}.", count(sheet.lines, "line", "lines"), path.display()));
    }
    Ok(())
}

/// A file of CSV that is written page by page, or stdout.
struct Sheet {
    file: Option<File>,
    /// Lines so far, with that of the headings.
    lines: u64,
}

impl Sheet {
    fn to(path: &Path) -> anyhow::Result<Sheet> {
        let file = match path == Path::new("-") {
            true => None,
            false => Some(File::create(path).with_context(|| format!("{} cannot be written", path.display()))?),
        };
        Ok(Sheet { file, lines: 0 })
    }

    fn add(&mut self, rows: impl IntoIterator<Item = [String; 6]>) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.write_record(row)?;
            self.lines += 1;
        }
        let text = writer.into_inner()?;
        match &mut self.file {
            Some(file) => file.write_all(&text)?,
            None => say(String::from_utf8(text)?.trim_end()),
        }
        Ok(())
    }
}
