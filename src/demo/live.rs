//! Live life: the simulated people go on writing, and each line tells what happened, and when it stood in the CDP.

use super::outcome::DemoError;
use super::stage::{Stage, pause, time_of};
use super::words::{plain, say};
use crate::clock::Clock;
use crate::db;
use crate::pipeline::context::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use unicode_width::UnicodeWidthStr;

/// How long a line waits for its act to stand in the CDP.
const PATIENCE: Duration = Duration::from_secs(4);

/// Said of tickets whose requester stands for no person.
const NOBODY: &str = "ticket up to date; its requester was deleted before we came";

/// Lines that may wait for one before them.
const WAITING: usize = 64;

/// Lets life go on until somebody ends it.
pub async fn play(stage: &Stage, speed: f64) -> Result<(), DemoError> {
    let (lines, mut told) = mpsc::channel::<JoinHandle<String>>(WAITING);
    let tell = async {
        while let Some(line) = told.recv().await {
            // A line that broke is none.
            if let Ok(line) = line.await {
                say(line);
            }
        }
    };
    let width = width();
    let live = async {
        loop {
            let wait = 200 + u64::from(rand::random::<u16>() % 500);
            pause(wait).await;
            for act in stage.zendesk.door.live(1).await? {
                let line = follow(stage.ctx().clone(), stage.ids(), act, speed, width);
                _ = lines.send(tokio::spawn(line)).await;
            }
        }
    };
    tokio::select! {
        ended = live => ended,
        () = tell => Ok(()),
    }
}

/// Columns of the terminal; None where nothing has to fit.
fn width() -> Option<usize> {
    let term = console::Term::stdout();
    std::io::stdout().is_terminal().then(|| term.size_checked()).flatten().map(|(_, columns)| usize::from(columns))
}

/// Waits until an act stands in the CDP, and says so.
async fn follow(ctx: Context, source: (i64, i64), act: Value, speed: f64, width: Option<usize>) -> String {
    let begun = Clock::system();
    let at = time_of(&act).unwrap_or_else(|| ctx.clock.now());
    let outcome = match what_to_await(&act) {
        Await::Nothing(why) => why.to_string(),
        wanted => loop {
            match seen(&ctx, source, &wanted, at).await {
                Ok(Some(found)) => break format!("{found}, {}", after(&begun, speed)),
                Err(error) => break format!("cannot look: {error}"),
                Ok(None) if begun.monotonic() > PATIENCE => {
                    break "not by webhook; the next poll brings it".to_string();
                }
                Ok(None) => pause(15).await,
            }
        },
    };
    line(at, act["text"].as_str().unwrap_or_default(), &outcome, width)
}

fn after(begun: &Clock, speed: f64) -> String {
    let real = begun.monotonic().as_millis();
    match speed == 1.0 {
        true => format!("{real} ms after"),
        false => format!("{real} ms after (real time)"),
    }
}

/// One line, or two where the terminal is too narrow for one.
fn line(at: DateTime<Utc>, text: &str, outcome: &str, width: Option<usize>) -> String {
    let time = at.with_timezone(&chrono::Local).format("%H:%M:%S");
    let text = in_words(&plain(text));
    let (told, found) = (format!("{time}  {text}"), format!("→ {outcome}"));
    match width {
        Some(width) if told.width() + found.width() + 2 > width => {
            format!("{told}\n          {found}")
        }
        _ => format!("{told}  {found}"),
    }
}

/// Zendesk's words for changes as words for people: `… changed ticket #4: status_changed` → `… changed ticket #4: status`.
fn in_words(text: &str) -> String {
    let Some((who, changes)) = text.rsplit_once(": ").filter(|(who, _)| who.contains(" changed ")) else {
        return text.to_string();
    };
    let mut words: Vec<String> = Vec::new();
    for change in changes.split(", ") {
        let word = change.trim_end_matches("_changed").replace('_', " ");
        if !words.contains(&word) {
            words.push(word);
        }
    }
    format!("{who}: {}", words.join(", "))
}

/// What shows that an act has arrived.
enum Await {
    /// An activity of the ticket, of this type if one is named.
    Activity(i64, Option<&'static str>),
    /// The ticket's row.
    Ticket(i64),
    /// The person of a record.
    Person(String),
    /// An organization.
    Organization,
    /// Nothing is kept of it.
    Nothing(&'static str),
}

fn what_to_await(act: &Value) -> Await {
    let kind = act["kind"].as_str().unwrap_or_default();
    let (ticket, user) = (act["ticket_id"].as_i64(), act["user_id"].as_i64());
    let is_note = act["text"].as_str().is_some_and(|text| text.contains("left a private note"));
    match (kind, ticket, user) {
        ("comment", ..) if is_note => Await::Nothing("nothing: private notes are not kept, unless you ask for them"),
        ("create_ticket", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.created")),
        ("comment", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.comment_added")),
        ("delete_ticket", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.deleted")),
        ("restore_ticket", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.undeleted")),
        ("spam", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.spam")),
        ("merge_tickets", Some(ticket), _) => Await::Activity(ticket, Some("zd.ticket.merged")),
        ("rate", Some(ticket), _) => Await::Activity(ticket, None),
        ("permanently_delete_ticket" | "redact_comment" | "redact_attachment", Some(ticket), _) => {
            Await::Ticket(ticket)
        }
        (_, Some(ticket), _) => Await::Ticket(ticket),
        (_, None, Some(user)) => Await::Person(user.to_string()),
        ("create_organization" | "update_organization" | "delete_organization", ..) => Await::Organization,
        _ => Await::Nothing("nothing to be kept"),
    }
}

async fn seen(ctx: &Context, source: (i64, i64), wanted: &Await, at: DateTime<Utc>) -> db::Result<Option<String>> {
    let mut db = ctx.pool.acquire().await?;
    match wanted {
        Await::Activity(ticket, kind) => {
            let found = db::compare::since(&mut db, source, *ticket, at).await?;
            if let Some((kind, person)) = found.iter().find(|(found, _)| kind.is_none_or(|kind| found == kind)) {
                return Ok(Some(format!("person {person}, {kind}")));
            }
            let nobody = db::compare::ticket_since(&mut db, source, *ticket, at).await? == Some(None);
            Ok(nobody.then(|| NOBODY.to_string()))
        }
        Await::Ticket(ticket) => of_ticket(&mut db, source, *ticket, at).await,
        Await::Person(record) => {
            let found = db::compare::person_since(&mut db, source, record, at).await?;
            Ok(found.map(|(person, status, kinds)| match (kinds.is_empty(), status.as_str()) {
                (false, _) => format!("person {person}, {}", kinds.join(" and ")),
                (true, "active") => format!("person {person} up to date"),
                (true, status) => format!("person {person}, {status}"),
            }))
        }
        Await::Organization => {
            let found = db::compare::organization_since(&mut db, source, at).await?;
            Ok(found.map(|organization| format!("organization {organization}")))
        }
        Await::Nothing(_) => Ok(None),
    }
}

/// Whatever a change of a ticket has become: its activities, or only the row where it is none.
async fn of_ticket(
    db: &mut PgConnection,
    source: (i64, i64),
    ticket: i64,
    at: DateTime<Utc>,
) -> db::Result<Option<String>> {
    let Some(person) = db::compare::ticket_since(db, source, ticket, at).await? else { return Ok(None) };
    let found = db::compare::since(db, source, ticket, at).await?;
    let mut kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    kinds.dedup();
    Ok(Some(match found.first() {
        Some((_, person)) => format!("person {person}, {}", kinds.join(" and ")),
        None if person.is_none() => NOBODY.to_string(),
        None => format!("ticket {ticket} up to date"),
    }))
}
