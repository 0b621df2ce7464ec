//! Recorded sessions as requests against the simulation: the same status and the same shape.
use crate::common::Answer;
use crate::corpus::{self, Exchange};
use crate::differences::{BEYOND, Difference, RECORDED_ONLY};
use crate::replay::Replay;
use crate::shape::{Shapes, endpoint};
use crate::shapes::{Lacking, lacking};
use std::collections::BTreeSet;

/// Parts of Zendesk that the simulation does not have; a session that touches one is not replayed.
const OUTSIDE: &[(&str, &str)] = &[
    ("/apps/", "apps of the marketplace: Deskbridge is none and installs none"),
    ("/users/me/settings", "how the web pages look to an agent"),
    ("/suspended_tickets", "mail that never became a ticket"),
    ("/requests", "what customers see of their own tickets: no client of ours signs in as one"),
];

/// What a session got otherwise than the simulation answers, with the reason: part of the session's name and place, part
/// of the fault.
const EXPLAINED: &[(&str, &str, &str)] = &[
    ("deletion@3e9a724#0", "Some(200) became 204", "of 2012; since 2015 a deleted membership is answered with 204"),
    ("TestTicketCreateUpdateDelete", "generated_timestamp", "of 2023; in 2024 it stands in the answer to a write too"),
    (
        "delete_single@934efec#0",
        "via | source.from",
        "the account's triggers wrote to nobody, ours writes to the requester",
    ),
    (
        "update_single@f86f18c#0",
        "via | source.from",
        "the account's triggers wrote to nobody, ours writes to the requester",
    ),
    ("show_ticket@6e607a7#0", "| all", "the account has one agent, whose group and organization a new ticket gets"),
    ("delete_single@f00e028#0", "| all", "the account has one agent, whose group and organization a new ticket gets"),
    ("update_single@4a47b54#0", "| all", "the account has one agent, whose group and organization a new ticket gets"),
    ("update_single@4a47b54#1", "Organization: is invalid", "the account's admin is in an organization, ours in none"),
    (
        "ticket_import_race",
        "Some(409) became 201",
        "two who made the same requester at once; here one asks after the other",
    ),
    ("ticket_import", "satisfaction_rating.score", "of 2015, when a ticket nobody was asked about said `unoffered`"),
];

fn shape(exchange: &Exchange, status: u16, body: &serde_json::Value) -> Shapes {
    let mut shapes = Shapes::default();
    let name = endpoint(exchange.method.as_deref().unwrap_or_default(), &exchange.target);
    shapes.add(&name, status, body, exchange.year.unwrap_or(0));
    shapes
}

/// What is lacking and in no list. Whether a key holds a value or null is the data's matter here; that it can hold
/// either, the comparison of all shapes holds.
fn unexplained(lacking: Lacking, other: &Shapes, list: &[Difference]) -> Vec<String> {
    let open = |(record, path, kind, _): &(String, String, &'static str, _)| {
        let there = other.0.get(record).and_then(|keys| keys.get(path));
        let null = there.is_some_and(|types| *kind == "null" || types.contains_key("null"));
        // Custom fields are each account's own.
        let own = path.contains(".*") || path.contains("fields[]");
        !null && !own && !list.iter().any(|difference| difference.covers(record, path, kind))
    };
    lacking.into_iter().filter(open).map(|(record, path, kind, _)| format!("{record} | {path} | {kind}")).collect()
}

/// How an answer differs from the recorded one.
fn faults(exchange: &Exchange, answer: &Answer) -> Vec<String> {
    if exchange.status != Some(answer.status) {
        return vec![format!("{:?} became {} {:.400}", exchange.status, answer.status, answer.body.to_string())];
    }
    let recorded = shape(exchange, answer.status, &exchange.body);
    let served = shape(exchange, answer.status, &answer.body);
    let missing = unexplained(lacking(&recorded, &served), &served, RECORDED_ONLY);
    let mut faults: Vec<_> = missing.iter().map(|what| format!("lacks {what}")).collect();
    // Older recordings do not know the keys of today.
    if exchange.year >= Some(2022) {
        let mut more = lacking(&served, &recorded);
        more.retain(|(record, path, ..)| recorded.0.get(record).is_some_and(|keys| !keys.contains_key(path)));
        faults.extend(unexplained(more, &recorded, BEYOND).iter().map(|what| format!("has too much: {what}")));
    }
    faults
}

#[tokio::test]
async fn recorded_sessions_are_answered_alike() {
    let Some(folder) = corpus::folder() else { return };
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let mut replayed = 0;
    for (name, session) in corpus::sessions(&folder) {
        let part = OUTSIDE.iter().find(|(part, _)| session.iter().any(|exchange| exchange.target.contains(part)));
        if let Some((part, _)) = part {
            used.insert(*part);
            continue;
        }
        let mut replay = Replay::begin(&session).await;
        for exchange in &session {
            let answer = replay.send(exchange).await;
            for fault in faults(exchange, &answer) {
                let place = format!("{name}{}", exchange.name);
                let known = EXPLAINED.iter().find(|(at, what, _)| place.contains(at) && fault.contains(what));
                match known {
                    Some((at, ..)) => drop(used.insert(*at)),
                    None => wrong.push(format!("{place} {:.90}: {fault}", exchange.target)),
                }
            }
            replayed += 1;
        }
    }
    let listed = OUTSIDE.iter().map(|(part, _)| *part).chain(EXPLAINED.iter().map(|(at, ..)| *at));
    wrong.extend(listed.filter(|part| !used.contains(part)).map(|part| format!("no longer needed: {part}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(replayed > 150, "{replayed}");
}
