//! Satisfaction: classic ratings or survey responses, whichever the account has.
use crate::acts::Refusal;
use crate::http::page::{List, Ways};
use crate::http::{Caller, Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::rating::{REASONS, Rating, Score};
use crate::world::ticket::Status;
use crate::world::user::Role;
use serde_json::{Value, json};

/// The one survey of the account.
const SURVEY: &str = "01J0SURVEY0000000000000000";

fn reason_json(world: &World, code: i64, text: &str) -> Value {
    let id = code * 7;
    json!({"id": id, "url": format!("{}/api/v2/satisfaction_reasons/{id}.json", world.host), "reason_code": code,
        "value": text, "raw_value": text, "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
}

/// Answers `/satisfaction_ratings...` and `/guide/survey_responses...`.
pub fn route(world: &World, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), parts) {
        ("GET", ["satisfaction_ratings", ..]) if world.surveys => Reply::forbidden(),
        ("GET", ["guide", ..]) if !world.surveys => Reply::no_endpoint(),
        ("GET", ["satisfaction_ratings"]) => list(world, req, req.q("score")),
        ("GET", ["satisfaction_ratings", "received"]) => list(world, req, Some("received")),
        ("GET", ["satisfaction_ratings", "count"]) => {
            Reply::ok(&json!({"count": {"value": world.ratings.len(), "refreshed_at": world.catalog.made_at}}))
        }
        ("GET", ["satisfaction_ratings", id]) => match world.ratings.get(&id.parse().ok()?) {
            Some(rating) => Reply::ok(&json!({"satisfaction_rating": rating.view(&world.host)})),
            None => Reply::not_found(),
        },
        ("GET", ["satisfaction_reasons"]) => {
            let rows: Vec<_> = REASONS.iter().map(|(code, text)| reason_json(world, *code, text)).collect();
            Reply::ok(&json!({"reasons": rows, "count": rows.len(), "next_page": null, "previous_page": null}))
        }
        ("GET", ["satisfaction_reasons", id]) => {
            let found = REASONS.iter().find(|(code, _)| (code * 7).to_string() == *id);
            // One is told as a list of one (Zendesk's OpenAPI).
            let told = |(code, text): &(i64, &str)| Reply::ok(&json!({"reason": [reason_json(world, *code, text)]}));
            found.map_or_else(Reply::not_found, told)
        }
        ("GET", ["guide", "survey_responses"]) => surveys(world, req),
        ("GET", ["guide", "survey_responses", id]) => {
            let found = world.ratings.values().find(|rating| rating.survey_response_id() == *id);
            match found.and_then(|rating| rating.as_survey(SURVEY)) {
                Some(response) => Reply::ok(&json!({ "survey_response": response })),
                None => Reply::not_found(),
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// Whether a rating is one of those asked for.
fn wanted(rating: &Rating, score: &str) -> bool {
    let said = rating.comment.is_some();
    let received = rating.score.is_received();
    match score {
        "received" => received,
        "received_with_comment" => received && said,
        "received_without_comment" => received && !said,
        "good_with_comment" => rating.score == Score::Good && said,
        "good_without_comment" => rating.score == Score::Good && !said,
        "bad_with_comment" => rating.score == Score::Bad && said,
        "bad_without_comment" => rating.score == Score::Bad && !said,
        "unoffered" => false,
        exact => rating.score.word() == exact,
    }
}

fn list(world: &World, req: &Req, score: Option<&str>) -> Reply {
    let start = req.number("start_time").map(Stamp);
    let end = req.number("end_time").map(Stamp);
    let asked = |rating: &&Rating| {
        score.is_none_or(|score| wanted(rating, score))
            && start.is_none_or(|start| rating.updated_at >= start)
            && end.is_none_or(|end| rating.updated_at <= end)
    };
    let mut found: Vec<_> = world.ratings.values().filter(asked).collect();
    found.sort_by_key(|rating| (rating.created_at, rating.id));
    let ids = found.iter().map(|rating| rating.id).collect();
    List { name: "satisfaction_ratings", host: &world.host, ids }
        .page(req, |id| world.ratings.get(&id).map_or(Value::Null, |rating| json!(rating.view(&world.host))))
}

fn surveys(world: &World, req: &Req) -> Reply {
    let filter = |name: &str| req.q(&format!("filter[{name}]"));
    let ms = |name: &str| filter(name).and_then(|text| text.parse::<i64>().ok()).map(|ms| Stamp(ms / 1000));
    let (start, end) = (ms("created_at_start"), ms("created_at_end"));
    let listed = |all: Option<&str>, one: &str| all.is_none_or(|all| all.split(',').any(|part| part == one));
    let asked = |rating: &&Rating| {
        rating.score.is_received()
            && start.is_none_or(|start| rating.updated_at >= start)
            && end.is_none_or(|end| rating.updated_at <= end)
            && listed(filter("responder_ids"), &rating.requester_id.to_string())
            && listed(filter("subject_zrns"), &format!("zen:ticket:{}", rating.ticket_id))
    };
    let mut found: Vec<_> = world.ratings.values().filter(asked).collect();
    found.sort_by_key(|rating| (rating.updated_at, rating.id));
    if req.q("sort") == Some("-id") {
        found.reverse();
    }
    let ids = found.iter().map(|rating| rating.id).collect();
    List { name: "survey_responses", host: &world.host, ids }.paged(req, Ways::Cursor(100), |id| {
        world.ratings.get(&id).and_then(|r| r.as_survey(SURVEY)).unwrap_or_default()
    })
}

/// Answers `/tickets/{id}/satisfaction_rating`: the requester of a solved ticket says what they think.
pub fn of_ticket(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Option<Reply> {
    let ticket = world.tickets.get(&id)?;
    match req.method.as_str() {
        "GET" => Some(match world.rating_of(ticket) {
            Some(rating) => Reply::ok(&json!({"satisfaction_rating": rating.view(&world.host)})),
            None => Reply::not_found(),
        }),
        "POST" => Some(give(world, caller, req, id)),
        _ => None,
    }
}

fn give(world: &mut World, caller: &Caller, req: &Req, id: i64) -> Reply {
    let ticket = &world.tickets[&id];
    if caller.role != Role::EndUser || ticket.requester_id != caller.user_id || world.surveys {
        return Reply::forbidden();
    }
    let refuse = |words: &str| Refusal::invalid("base", words, "InvalidValue").into();
    if ticket.status < Status::Solved {
        return refuse("Ticket: must be solved to be rated");
    }
    let given = &req.body["satisfaction_rating"];
    let score = given["score"].as_str().and_then(Score::parse).filter(|score| score.is_received());
    let Some(score) = score else { return refuse("Score: must be good or bad") };
    match world.rate(caller.now, id, score, given["comment"].as_str(), 0) {
        Ok(rating) => Reply::ok(&json!({"satisfaction_rating": world.ratings[&rating].view(&world.host)})),
        Err(refusal) => refusal.into(),
    }
}
