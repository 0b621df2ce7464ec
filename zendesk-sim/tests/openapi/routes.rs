//! What the simulated account serves, found out by asking, must be driven.
use crate::common::World;
use openapi_check::Judge;
use openapi_check::zendesk::{self, Exchange};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use zendesk_sim::Settings;

/// Served, and driven with their shapes by tests of their own, not yet by the lines here.
const ELSEWHERE: &[&str] = &[
    "GET /api/v2/organization_merges/{organization_merge_id}",
    "GET /api/v2/organizations/{organization_id}/merges",
    "GET /api/v2/organizations/{organization_id}/related",
    "GET /api/v2/requests",
    "POST /api/v2/requests",
    "GET /api/v2/requests/search",
    "GET /api/v2/requests/{request_id}",
    "PUT /api/v2/requests/{request_id}",
    "GET /api/v2/requests/{request_id}/comments",
    "GET /api/v2/requests/{request_id}/comments/{ticket_comment_id}",
    "PUT /api/v2/users/{user_id}/identities/{user_identity_id}/request_verification",
];

/// Asks a new account for every operation that is described; each that it serves must be among the driven ones: with success, or
/// reading one record (or what hangs on it) where the account has none of its kind.
pub async fn hold_that_all_are_driven(judge: &Judge, seen: &[Exchange]) {
    let driven: BTreeSet<_> = seen
        .iter()
        .filter(|exchange| exchange.status < 300 || (exchange.method == "GET" && exchange.status == 404))
        .filter_map(|exchange| judge.route(&exchange.method, zendesk::plain(&exchange.path)))
        .map(|route| (route.method.clone(), route.path.clone()))
        .collect();
    let world = World::start(Settings { users: Some(5), tickets: Some(5), ..Settings::default() }).await;
    let mut missing = Vec::new();
    for route in judge.routes() {
        let listed = ELSEWHERE.contains(&format!("{} {}", route.method, route.path).as_str());
        if listed || driven.contains(&(route.method.clone(), route.path.clone())) {
            continue;
        }
        let path = filled(&world, &route.path).await;
        let method = Method::from_bytes(route.method.as_bytes()).expect("a method");
        let body = (method != Method::GET).then(|| json!({}));
        let answer = world.send(method, &path, body, Some(&world.token)).await;
        // A word where an id belongs is an id that is none.
        let taken_for_id = answer.body["error"]["title"] == "Invalid attribute" && !path.contains("/1");
        if answer.body["error"] != "InvalidEndpoint" && !taken_for_id {
            missing.push(format!("{} {} ({})", route.method, route.path, answer.status));
        }
    }
    let total = judge.routes().len();
    println!("{} operations of {total} are driven", driven.len());
    assert!(missing.is_empty(), "served, and not among the requests that are driven: {missing:#?}");
}

/// A path with ids of records that are there.
async fn filled(world: &World, path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        let list = match part {
            "{user_id}" => "users",
            "{organization_id}" => "organizations",
            "{ticket_id}" => "tickets",
            _ => "",
        };
        parts.push(match list {
            "" if part.starts_with('{') => "1".to_owned(),
            "" => part.to_owned(),
            list => world.truth(list).await.last().map_or("1".into(), |row| row["id"].to_string()),
        });
    }
    parts.join("/")
}
