//! Dead letters once more: webhooks are applied again, records are read again by their id, what has no way back to Zendesk
//! is decoded again from its bytes.

use super::commit;
use super::context::{Context, FlowError};
use super::events;
use super::fetch::{self, Patience, Wanted};
use crate::db;
use crate::db::dead_letter::DeadLetter;
use crate::model::batch::Batch;
use crate::model::source::Source;
use crate::model::stream::Stream;
use crate::zendesk::stream;
use chrono::DateTime;
use std::collections::{BTreeMap, BTreeSet};

/// Letters whose records are read and applied together: as many as one request may ask for.
const TOGETHER: usize = 100;

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied; the letter is settled.
    Applied,
    /// Zendesk has no such record any more; the letter is settled.
    Gone,
    /// Still refused, for this reason; the letter stays open.
    Refused(String),
    /// Cannot be tried again, for this reason; the letter stays open.
    Impossible(&'static str),
}

/// Tries letters again. Answers what became of each.
pub async fn retry(ctx: &Context, letters: Vec<DeadLetter>) -> Result<Vec<(i64, Outcome)>, FlowError> {
    let mut by_source: BTreeMap<i64, Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        by_source.entry(letter.source_id).or_default().push(letter);
    }
    let mut outcomes = Vec::new();
    for (source, letters) in by_source {
        let source = db::source::get(&mut *ctx.pool.acquire().await?, source).await?;
        match source.filter(|source| source.is_support() && source.state.is_live()) {
            Some(source) => outcomes.extend(retry_of(ctx, &source, letters).await?),
            None => outcomes.extend(letters.iter().map(|letter| (letter.id, Outcome::Impossible(NOT_LIVE)))),
        }
    }
    outcomes.sort_by_key(|(id, _)| *id);
    Ok(outcomes)
}

const NOT_LIVE: &str = "its source is not connected; for an import, correct the file and import it again";
const NO_BYTES: &str = "its bytes were erased with a person's data; dismiss it";
const NO_WAY: &str = "its record cannot be read again alone; run deskbridge source resync NAME --backfill --since DATE";

/// How a letter can be tried again.
enum Way {
    Webhook(Vec<u8>),
    Record(Entity),
    Bytes(Stream, Vec<u8>),
    None(&'static str),
}

/// What can be read again by its id.
#[derive(Clone, Copy)]
enum Entity {
    User,
    Organization,
    Ticket,
}

fn way(letter: &DeadLetter) -> Way {
    let has_id = !letter.record_id.is_empty() && letter.record_id.bytes().all(|byte| byte.is_ascii_digit());
    match (letter.stream.as_str(), &letter.body) {
        ("users", _) if has_id => Way::Record(Entity::User),
        ("organizations", _) if has_id => Way::Record(Entity::Organization),
        ("tickets", _) if has_id => Way::Record(Entity::Ticket),
        (_, None) => Way::None(NO_BYTES),
        ("webhooks", Some(body)) => Way::Webhook(body.clone()),
        (name, Some(body)) => match Stream::parse(name) {
            // What the database refused is kept as it was normalised, without the bytes of Zendesk.
            Some(stream) if body.first() == Some(&b'{') && stream != Stream::Fields => Way::Bytes(stream, body.clone()),
            _ => Way::None(NO_WAY),
        },
    }
}

async fn retry_of(ctx: &Context, source: &Source, letters: Vec<DeadLetter>) -> Result<Vec<(i64, Outcome)>, FlowError> {
    let mut outcomes = Vec::new();
    let mut records = Vec::new();
    for letter in letters {
        let batch = match way(&letter) {
            Way::Record(entity) => {
                records.push((letter, entity));
                continue;
            }
            Way::None(why) => {
                outcomes.push((letter.id, Outcome::Impossible(why)));
                continue;
            }
            Way::Webhook(body) => events::prepare(ctx, source, std::iter::once(body.as_slice())).await?.0,
            Way::Bytes(stream, body) => decode_again(ctx, source, stream, &body),
        };
        let refused = batch.refused.first().map(|refused| Outcome::Refused(refused.reason.clone()));
        let outcome = refused.unwrap_or(Outcome::Applied);
        outcomes.extend(settle(ctx, source, batch, vec![(letter.id, outcome)]).await?);
    }
    for chunk in records.chunks(TOGETHER) {
        outcomes.extend(read_again(ctx, source, chunk).await?);
    }
    Ok(outcomes)
}

/// A page that holds one record.
fn decode_again(ctx: &Context, source: &Source, stream: Stream, record: &[u8]) -> Batch {
    let wrapper = stream::request(stream, None, DateTime::UNIX_EPOCH, 1, ctx.clock.now()).wrapper;
    let page = [format!("{{\"{wrapper}\":[").as_bytes(), record, b"],\"end_of_stream\":true}"].concat();
    match stream::read(stream, wrapper, &page, None, DateTime::UNIX_EPOCH, ctx.clock.now(), &ctx.decode(source)) {
        Ok(page) => page.batch,
        Err(error) => {
            let refused = crate::model::batch::Refused {
                stream: stream.as_str(),
                record_id: String::new(),
                reason: error.to_string(),
                body: record.to_vec(),
            };
            Batch { refused: vec![refused], ..Batch::default() }
        }
    }
}

async fn read_again(
    ctx: &Context,
    source: &Source,
    letters: &[(DeadLetter, Entity)],
) -> Result<Vec<(i64, Outcome)>, FlowError> {
    let mut wanted = Wanted::default();
    for (letter, entity) in letters {
        let ids = match entity {
            Entity::User => &mut wanted.users,
            Entity::Organization => &mut wanted.organizations,
            Entity::Ticket => &mut wanted.tickets,
        };
        ids.insert(letter.record_id.clone());
    }
    let client = ctx.client(source)?;
    let mut batch = Batch::default();
    fetch::fetch(ctx, &client, source, &wanted, Patience::Wait, &mut batch).await?;
    let missing = fetch::missing(ctx, source, &batch).await?;
    fetch::fetch(ctx, &client, source, &missing, Patience::Wait, &mut batch).await?;
    let tickets: BTreeSet<String> = batch.tickets.iter().map(|ticket| ticket.id.to_string()).collect();
    let outcome = |letter: &DeadLetter, entity: Entity| {
        let id = letter.record_id.as_str();
        let found = match entity {
            Entity::User => batch.people.iter().any(|person| person.record_id == id),
            Entity::Organization => batch.organizations.iter().any(|organization| organization.record_id == id),
            Entity::Ticket => tickets.contains(id),
        };
        let refused = batch.refused.iter().find(|refused| refused.stream == letter.stream && refused.record_id == id);
        match (found, refused) {
            (true, _) => Outcome::Applied,
            (false, Some(refused)) => Outcome::Refused(refused.reason.clone()),
            (false, None) => Outcome::Gone,
        }
    };
    let outcomes = letters.iter().map(|(letter, entity)| (letter.id, outcome(letter, *entity))).collect();
    settle(ctx, source, batch, outcomes).await
}

/// Settles letters and applies what came of them in one transaction. What is refused again opens its letter again.
async fn settle(
    ctx: &Context,
    source: &Source,
    batch: Batch,
    outcomes: Vec<(i64, Outcome)>,
) -> Result<Vec<(i64, Outcome)>, FlowError> {
    let (workspace, now) = (source.workspace_id, ctx.clock.now());
    let of = |wanted: fn(&Outcome) -> bool| -> Vec<i64> {
        outcomes.iter().filter(|(_, outcome)| wanted(outcome)).map(|(id, _)| *id).collect()
    };
    let applied = of(|outcome| *outcome == Outcome::Applied);
    let superseded = of(|outcome| *outcome != Outcome::Applied);
    let mut tx = commit::begin(ctx, source, None).await?;
    db::dead_letter::resolve(&mut tx, workspace, &applied, "applied", now).await?;
    db::dead_letter::resolve(&mut tx, workspace, &superseded, "superseded", now).await?;
    commit::apply_all(&mut tx, &commit::env(ctx, source), batch).await?;
    let ids: Vec<i64> = outcomes.iter().map(|(id, _)| *id).collect();
    let open: BTreeMap<i64, String> =
        db::dead_letter::open_among(&mut tx, workspace, &ids).await?.into_iter().collect();
    tx.commit().await?;
    let result = |(id, outcome)| match open.get(&id) {
        Some(reason) => (id, Outcome::Refused(reason.clone())),
        None => (id, outcome),
    };
    Ok(outcomes.into_iter().map(result).collect())
}

/// Settles letters without applying them. Answers how many were open.
pub async fn dismiss(ctx: &Context, workspace: i64, ids: &[i64]) -> Result<u64, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    Ok(db::dead_letter::resolve(&mut db, workspace, ids, "dismissed", ctx.clock.now()).await?)
}
