//! Reading records again by id: what a webhook or an export does not carry. In bulk, up to 100 ids a request.

use super::context::{Context, FlowError};
use crate::db;
use crate::model::batch::Batch;
use crate::model::source::Source;
use crate::zendesk::client::Client;
use crate::zendesk::decode;
use crate::zendesk::error::{ApiError, Kind};
use std::collections::BTreeSet;

/// Ids a request may ask for (Z§5).
const IDS_A_REQUEST: usize = 100;

/// Records to be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// User ids.
    pub users: BTreeSet<String>,
    /// Organization ids.
    pub organizations: BTreeSet<String>,
    /// Ticket ids.
    pub tickets: BTreeSet<String>,
}

impl Wanted {
    /// True when nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.organizations.is_empty() && self.tickets.is_empty()
    }
}

/// May a request wait for the budget, or is it made only when it can be afforded at once?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Waits.
    Wait,
    /// Does without when the budget is spent.
    IfAffordable,
}

/// Reads records again into a batch. Without patience, the first request that cannot be afforded ends the reading, and
/// what was read until then is kept.
pub async fn fetch(
    ctx: &Context,
    client: &Client,
    source: &Source,
    wanted: &Wanted,
    patience: Patience,
    batch: &mut Batch,
) -> Result<(), ApiError> {
    let lists = [("users", &wanted.users), ("organizations", &wanted.organizations), ("tickets", &wanted.tickets)];
    for (wrapper, ids) in lists {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for chunk in ids.chunks(IDS_A_REQUEST) {
            let path = format!("/api/v2/{wrapper}/show_many?ids={}", chunk.join(","));
            let body = match patience {
                Patience::Wait => client.get(&path).await,
                Patience::IfAffordable => client.get_if_affordable(&path).await,
            };
            match body {
                Ok(body) => read(ctx, source, wrapper, &body, batch)?,
                // None of them is there any more.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    let returned: BTreeSet<&str> = batch.people.iter().map(|person| person.record_id.as_str()).collect();
    batch.nobody.extend(wanted.users.iter().filter(|id| !returned.contains(id.as_str())).cloned());
    Ok(())
}

fn read(ctx: &Context, source: &Source, wrapper: &'static str, body: &[u8], batch: &mut Batch) -> Result<(), ApiError> {
    let page = decode::page(body, wrapper).map_err(|error| ApiError {
        endpoint: format!("GET /api/v2/{wrapper}/show_many"),
        kind: Kind::BadBody(error.to_string()),
    })?;
    let decode = ctx.decode(source);
    for raw in &page.records {
        let refused = match wrapper {
            "users" => decode::user(raw, &decode).map(|user| batch.people.push(user)),
            "organizations" => {
                decode::organization(raw, &decode).map(|organization| batch.organizations.push(organization))
            }
            _ => decode::ticket(raw, &decode).map(|ticket| batch.tickets.push(ticket)),
        };
        if let Err(refused) = refused {
            batch.refused.push(refused);
        }
    }
    Ok(())
}

/// What a batch refers to and nobody knows yet: tickets of events, then requesters, owners and authors.
pub async fn missing(ctx: &Context, source: &Source, batch: &Batch) -> Result<Wanted, FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let known_here: BTreeSet<i64> = batch.tickets.iter().map(|ticket| ticket.id).collect();
    let tickets = batch
        .activities
        .iter()
        .filter_map(|draft| draft.ticket_id)
        .chain(batch.ratings.iter().map(|rating| rating.ticket_id));
    let tickets: BTreeSet<i64> = tickets.filter(|id| !known_here.contains(id)).collect();
    let mut wanted = Wanted::default();
    let mut requesters = BTreeSet::new();
    if !tickets.is_empty() {
        let ids: Vec<i64> = tickets.iter().copied().collect();
        let stored = db::ticket::load(&mut db, source.workspace_id, source.id, &ids).await?;
        requesters.extend(stored.iter().filter_map(|ticket| ticket.requester.clone()));
        let stored: BTreeSet<i64> = stored.iter().map(|ticket| ticket.id).collect();
        wanted.tickets = tickets.difference(&stored).map(i64::to_string).collect();
    }
    wanted.users = missing_users(&mut db, source, batch, &requesters).await?;
    Ok(wanted)
}

async fn missing_users(
    db: &mut sqlx::PgConnection,
    source: &Source,
    batch: &Batch,
    requesters: &BTreeSet<String>,
) -> Result<BTreeSet<String>, FlowError> {
    let here = batch.people.iter().map(|person| person.record_id.as_str());
    let here: BTreeSet<&str> = here.chain(batch.nobody.iter().map(String::as_str)).collect();
    let referred: BTreeSet<&str> = batch
        .person_records()
        .chain(requesters.iter().map(String::as_str))
        .filter(|record| !here.contains(record) && is_user_id(record))
        .collect();
    if referred.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<&str> = referred.iter().copied().collect();
    let links = db::person_source::load(db, source.workspace_id, source.id, &ids).await?;
    let agents = db::agent::among(db, source.workspace_id, source.id, &ids).await?;
    let nobody = db::nobody::among(db, source.workspace_id, source.id, &ids).await?;
    let others = agents.iter().chain(&nobody).map(String::as_str);
    let known: BTreeSet<&str> = links.iter().map(|link| link.record_id.as_str()).chain(others).collect();
    Ok(referred.difference(&known).map(|id| id.to_string()).collect())
}

/// Zendesk writes -1 for itself.
fn is_user_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text != "0"
}
