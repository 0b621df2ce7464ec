//! What `audience` prints: lists, members, explanations.

use super::output::{Format, Table, count, plain, say, say_json, time, when};
use super::session::Session;
use crate::db;
use crate::db::audience_member::Member;
use crate::pipeline::audience::{self, Reasons};
use crate::rules::filter::evaluate::Explained;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Members read at a time.
const PAGE: i64 = 1_000;

/// People named by a preview.
const EXAMPLES: usize = 10;

/// Lists the audiences.
pub async fn list(session: &Session, format: Format) -> anyhow::Result<()> {
    let all = overview(session, None).await?;
    if format.json {
        say_json(&Value::Array(all));
        return Ok(());
    }
    if all.is_empty() {
        say("There is no audience yet: deskbridge audience apply -f FILE");
        return Ok(());
    }
    let mut table = Table::new(&["name", "members", "past", "drift", "title"]);
    for audience in &all {
        let cell = |key: &str| audience[key].as_str().map_or_else(|| audience[key].to_string(), str::to_owned);
        table.row([
            cell("name"),
            cell("members"),
            cell("past_stays"),
            cell("drift").replace("null", "-"),
            cell("title"),
        ]);
    }
    table.print();
    Ok(())
}

/// What is told of each audience, or of one.
async fn overview(session: &Session, name: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut db = session.db().await?;
    let counts = db::audience_member::counts(&mut db, session.workspace).await?;
    let all = db::audience::all(&mut db, session.workspace).await?;
    let told = all.into_iter().filter(|audience| name.is_none_or(|name| audience.name == name)).map(|audience| {
        let (_, members, past) = counts.iter().find(|(id, ..)| *id == audience.id).copied().unwrap_or_default();
        json!({
            "name": audience.name, "title": audience.definition["title"], "members": members, "past_stays": past,
            "definition": audience.definition, "needs": audience.needs, "evaluated_at": audience.evaluated_at,
            "next_pass_at": audience.nightly_at, "last_pass_at": audience.passed_at, "drift": audience.drift,
        })
    });
    Ok(told.collect())
}

/// Shows an audience.
pub async fn show(session: &Session, name: &str, format: Format) -> anyhow::Result<()> {
    let found = audience::find(&mut *session.db().await?, session.workspace, name).await?;
    let told = overview(session, Some(name)).await?.into_iter().next().unwrap_or_default();
    if format.json {
        say_json(&told);
        return Ok(());
    }
    let (now, stored) = (session.ctx.clock.now(), &found.stored);
    let at = |at: Option<DateTime<Utc>>| at.map_or_else(|| "not yet".to_string(), |at| when(at, now));
    let mut table = Table::new(&[]);
    table.row(["name", name]).row(["title", &found.definition.title]);
    table.row(["members", &told["members"].to_string()]).row(["past stays", &told["past_stays"].to_string()]);
    table.row(["enters again", if found.definition.reentry { "yes" } else { "no" }]);
    table.row(["looks at", &stored.needs.join(", ")]);
    table.row(["everybody asked", &at(stored.evaluated_at)]);
    table.row(["last nightly pass", &at(stored.passed_at)]).row(["next nightly pass", &at(Some(stored.nightly_at))]);
    table.row(["drift", &stored.drift.map_or_else(|| "-".to_string(), |drift| drift.to_string())]);
    table.print();
    for key in ["entry", "exit"].into_iter().filter(|key| !stored.definition[*key].is_null()) {
        say(format_args!("{key}: {}", plain(&stored.definition[key].to_string())));
    }
    Ok(())
}

/// Says for how many a filter holds, with examples.
pub async fn preview(session: &Session, found: &[i64], format: Format) -> anyhow::Result<()> {
    let some: Vec<i64> = found.iter().copied().take(EXAMPLES).collect();
    let people = db::person::load(&mut *session.db().await?, session.workspace, &some).await?;
    if format.json {
        let examples: Vec<Value> = people
            .iter()
            .map(|person| json!({"id": person.id, "email": person.system[crate::model::field::SystemField::Email]}))
            .collect();
        say_json(&json!({"count": found.len(), "examples": examples}));
        return Ok(());
    }
    say(format_args!("It holds for {}.", count(found.len() as u64, "person", "people")));
    if people.is_empty() {
        return Ok(());
    }
    use crate::model::field::SystemField::{Email, FirstName, LastName};
    let mut table = Table::new(&["id", "first name", "last name", "email"]);
    for person in &people {
        let text = |field| person.system[field].clone().unwrap_or_default();
        table.row([person.id.to_string(), text(FirstName), text(LastName), text(Email)]);
    }
    table.print();
    Ok(())
}

/// Lists who was in an audience at a time.
pub async fn members(
    session: &Session,
    name: &str,
    at: DateTime<Utc>,
    csv: bool,
    format: Format,
) -> anyhow::Result<()> {
    let mut db = session.db().await?;
    let id = audience::find(&mut db, session.workspace, name).await?.stored.id;
    if csv {
        print_csv(std::iter::once(COLUMNS.map(str::to_string)))?;
    }
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let page = db::audience_member::at(&mut db, session.workspace, id, at, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.person_id;
        match csv {
            true => print_csv(page.iter().map(cells))?,
            false => all.extend(page),
        }
    }
    if !csv {
        print_members(&all, format);
    }
    Ok(())
}

fn print_csv(rows: impl Iterator<Item = [String; 7]>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    say(String::from_utf8(writer.into_inner()?)?.trim_end());
    Ok(())
}

const COLUMNS: [&str; 7] = ["id", "first_name", "last_name", "email", "entered_at", "exited_at", "by_hand"];

fn cells(member: &Member) -> [String; 7] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        member.person_id.to_string(),
        text(&member.first_name),
        text(&member.last_name),
        text(&member.email),
        time(member.entered_at),
        member.exited_at.map(time).unwrap_or_default(),
        if member.manual.is_some() { "yes".into() } else { String::new() },
    ]
}

fn print_members(all: &[Member], format: Format) {
    if format.json {
        let told = all.iter().map(|member| {
            COLUMNS.iter().zip(cells(member)).map(|(key, cell)| (key.to_string(), json!(cell))).collect::<Value>()
        });
        say_json(&told.collect());
        return;
    }
    let mut table = Table::new(&["id", "first name", "last name", "email", "entered", "left", "by hand"]);
    for member in all {
        table.row(cells(member));
    }
    table.print();
}

/// Explains why a person is in an audience, or is not.
pub async fn explain(session: &Session, name: &str, person: i64, format: Format) -> anyhow::Result<()> {
    let written = audience::find(&mut *session.db().await?, session.workspace, name).await?.stored.definition;
    let reasons = audience::explain(&session.ctx, session.workspace, name, person).await?;
    let Some(Reasons { member, manual, entry, exit }) = reasons else {
        say(format_args!("Person {person} is archived: in no audience."));
        return Ok(());
    };
    let part = |key: &str, explained: &Explained| tree(explained, &mut leaves(&written[key]).into_iter());
    let (entry, exit) = (part("entry", &entry), exit.map(|exit| part("exit", &exit)));
    if format.json {
        say_json(
            &json!({"audience": name, "person": person, "member": member, "by_hand": manual, "entry": entry, "exit": exit}),
        );
        return Ok(());
    }
    say(format_args!("Person {person} is {} {name}.", if member { "in" } else { "not in" }));
    if let Some(manual) = manual {
        say(format_args!("Put {} by hand, whatever the filter says.", if manual { "in" } else { "out" }));
    }
    for (title, tree) in [("entry filter", Some(entry)), ("exit filter", exit)] {
        if let Some(tree) = tree {
            say(format_args!("{title}:"));
            print_tree(&tree, 1);
        }
    }
    Ok(())
}

/// The conditions as they were written, in their order.
fn leaves(written: &Value) -> Vec<Value> {
    let group =
        ["all", "any", "$and", "$or", "$andgroup", "$orgroup"].iter().find_map(|key| written.get(key)?.as_array());
    group.map_or_else(|| vec![written.clone()], |parts| parts.iter().flat_map(leaves).collect())
}

fn tree(explained: &Explained, written: &mut impl Iterator<Item = Value>) -> Value {
    match &explained.group {
        None => {
            let (expected, found) = explained.words.clone().unzip();
            json!({"holds": explained.holds, "condition": written.next(), "expected": expected, "found": found})
        }
        Some((all, parts)) => {
            let parts: Vec<Value> = parts.iter().map(|part| tree(part, written)).collect();
            json!({"holds": explained.holds, if *all { "all" } else { "any" }: parts})
        }
    }
}

fn print_tree(tree: &Value, depth: usize) {
    let mark = if tree["holds"] == true { "held  " } else { "failed" };
    let indent = "  ".repeat(depth);
    let group = [("all", "all of"), ("any", "any of")]
        .into_iter()
        .find_map(|(key, words)| Some((tree.get(key)?.as_array()?, words)));
    match group {
        None => {
            let text = |key: &str| plain(tree[key].as_str().unwrap_or_default());
            say(format_args!("{mark} {indent}{}; found {}", text("expected"), text("found")));
        }
        Some((parts, words)) => {
            say(format_args!("{mark} {indent}{words}:"));
            parts.iter().for_each(|part| print_tree(part, depth + 1));
        }
    }
}
