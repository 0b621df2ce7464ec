//! Pages of exports as JSON; written straight out, because a page holds a thousand rows.
use super::{Page, Row, Stream};
use crate::api::sideload;
use crate::http::{Reply, Req, faults};
use crate::world::World;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A page as JSON, with its side-loads.
pub fn write(world: &World, stream: Stream, page: &Page, req: &Req, tail: Value) -> Reply {
    let mut body = Vec::with_capacity(page.rows.len() * 1500 + 500);
    let include = req.q("include").unwrap_or_default();
    let poisoned = world.faults.poison_records.get(stream.name());
    body.extend_from_slice(format!("{{\"{}\":[", stream.name()).as_bytes());
    let start = body.len();
    let mut rows: Vec<Row> = page.rows.clone();
    if stream == Stream::MetricEvents {
        // One row for each event: they are written together, update by update.
        rows.dedup_by_key(|row| row.place);
    }
    for row in &rows {
        if body.len() > start {
            body.push(b',');
        }
        if poisoned.is_some_and(|ids| ids.contains(&row.id)) {
            let mut clean = Vec::new();
            write_row(world, stream, *row, include, &mut clean);
            let value = serde_json::from_slice(&clean).unwrap_or_default();
            put(&mut body, &faults::poison(value, row.id));
        } else {
            write_row(world, stream, *row, include, &mut body);
        }
    }
    body.push(b']');
    for (name, value) in tail.as_object().into_iter().flatten() {
        body.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    let mut rest = Vec::new();
    for name in include.split(',').map(str::trim) {
        match (stream, name) {
            (Stream::Tickets, "users") => write_side_users(world, page, &mut body),
            (Stream::Users, "identities") => write_side_identities(world, page, &mut body),
            // Too slow for an export, says Zendesk, and ignores it; comments stand within the events.
            (_, "last_audits") | (Stream::TicketEvents | Stream::MetricEvents, _) => {}
            (_, name) => rest.push(name),
        }
    }
    body.push(b'}');
    sideload::with(world, &rest.join(","), Reply::bytes(200, body))
}

fn put(body: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(body, value).expect("invariant: records are always JSON");
}

fn write_row(world: &World, stream: Stream, row: Row, include: &str, body: &mut Vec<u8>) {
    let host = &world.host;
    match stream {
        Stream::Users => {
            if let Some(user) = world.users.get(&row.id) {
                put(body, &user.view(host, &world.catalog.user_fields, true));
            }
        }
        Stream::Organizations => {
            if let Some(organization) = world.organizations.get(&row.id) {
                put(body, &organization.view(host, &world.catalog.organization_fields, true));
            }
        }
        Stream::Tickets => {
            if let Some(ticket) = world.tickets.get(&row.id) {
                put(body, &ticket.view(world.frame(), world.rating_of(ticket), ticket.generated.0));
            }
        }
        Stream::MetricEvents => {
            let events = world.tickets.get(&row.id).map(|ticket| world.metric_events(ticket, row.audit));
            for (place, event) in events.unwrap_or_default().iter().enumerate() {
                if place > 0 {
                    body.push(b',');
                }
                put(body, event);
            }
        }
        Stream::TicketEvents => {
            let with_comments = include.split(',').any(|part| part == "comment_events");
            if let Some(audit) = world.tickets.get(&row.id).and_then(|ticket| ticket.audits.get(row.audit)) {
                put(body, &audit.as_row(row.id, host, with_comments));
            }
        }
    }
}

fn write_side_identities(world: &World, page: &Page, body: &mut Vec<u8>) {
    let users = page.rows.iter().filter_map(|row| world.users.get(&row.id));
    let all: Vec<_> = users.flat_map(|user| user.identities.iter().map(|i| i.as_rest(user.id, &world.host))).collect();
    body.extend_from_slice(b",\"identities\":");
    put(body, &all);
}

fn write_side_users(world: &World, page: &Page, body: &mut Vec<u8>) {
    let tickets = page.rows.iter().filter_map(|row| world.tickets.get(&row.id));
    let ids: BTreeSet<_> =
        tickets.flat_map(|t| [Some(t.requester_id), Some(t.submitter_id), t.assignee_id]).flatten().collect();
    let users: Vec<_> = ids.iter().filter_map(|id| world.users.get(id)).collect();
    let views: Vec<_> = users.iter().map(|u| u.view(&world.host, &world.catalog.user_fields, true)).collect();
    body.extend_from_slice(b",\"users\":");
    put(body, &views);
}
