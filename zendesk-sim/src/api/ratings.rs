//! Satisfaction: classic ratings or survey responses, whichever the account has.
use crate::http::page::List;
use crate::http::{Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::rating::{Rating, Score};
use serde_json::{Value, json};

/// Answers `/satisfaction_ratings...` and `/guide/survey_responses...`.
pub fn route(world: &World, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), parts) {
        ("GET", ["satisfaction_ratings", ..]) if world.surveys => Reply::forbidden(),
        ("GET", ["guide", ..]) if !world.surveys => Reply::no_endpoint(),
        ("GET", ["satisfaction_ratings"]) => list(world, req),
        ("GET", ["satisfaction_ratings", "count"]) => {
            Reply::ok(&json!({"count": {"value": world.ratings.len(), "refreshed_at": world.catalog.made_at}}))
        }
        ("GET", ["satisfaction_ratings", id]) => match world.ratings.get(&id.parse().ok()?) {
            Some(rating) => Reply::ok(&json!({"satisfaction_rating": rating.view(&world.host)})),
            None => Reply::not_found(),
        },
        ("GET", ["guide", "survey_responses"]) => surveys(world, req),
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

fn list(world: &World, req: &Req) -> Reply {
    let start = req.number("start_time").map(Stamp);
    let end = req.number("end_time").map(Stamp);
    let asked = |rating: &&Rating| {
        req.q("score").is_none_or(|score| wanted(rating, score))
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
    let mut query = req.clone();
    if query.q("page[size]").is_none() {
        query.query.push(("page[size]".into(), "100".into()));
    }
    List { name: "survey_responses", host: &world.host, ids }.page(&query, |id| {
        world.ratings.get(&id).and_then(|r| r.as_survey("01J0SURVEY0000000000000000")).unwrap_or_default()
    })
}
