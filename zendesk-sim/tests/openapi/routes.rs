//! What the simulated account serves, found out by asking, must be driven.
use crate::common::World;
use openapi_check::Judge;
use openapi_check::zendesk::{self, Exchange};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use zendesk_sim::Settings;

/// Records this account has none of, so that reading one answers 404 only: a list of them is empty here.
const NONE_HERE: &[&str] = &[
    "/api/v2/activities/{activity_id}",
    "/api/v2/automations/{automation_id}",
    "/api/v2/custom_objects/{custom_object_key}",
    "/api/v2/dynamic_content/items/{dynamic_content_item_id}",
    "/api/v2/group_slas/policies/{group_sla_policy_id}",
    "/api/v2/macros/{macro_id}",
    "/api/v2/organization_subscriptions/{organization_subscription_id}",
    "/api/v2/recipient_addresses/{support_address_id}",
    "/api/v2/sharing_agreements/{sharing_agreement_id}",
    "/api/v2/slas/policies/{sla_policy_id}",
    "/api/v2/suspended_tickets/{id}",
    "/api/v2/targets/{target_id}",
    "/api/v2/triggers/{trigger_id}",
    "/api/v2/workspaces/{workspace_id}",
];

/// Asks a new account for every operation that is described; each that it serves must be among those driven with success, or
/// read a record of a kind that the account has none of.
pub async fn hold_that_all_are_driven(judge: &Judge, seen: &[Exchange]) {
    let driven: BTreeSet<_> = seen
        .iter()
        .filter(|exchange| exchange.status < 300)
        .filter_map(|exchange| judge.route(&exchange.method, zendesk::plain(&exchange.path)))
        .map(|route| (route.method.clone(), route.path.clone()))
        .collect();
    let world = World::start(Settings { users: Some(5), tickets: Some(5), ..Settings::default() }).await;
    let (mut missing, mut none_here) = (Vec::new(), BTreeSet::new());
    for route in judge.routes() {
        if driven.contains(&(route.method.clone(), route.path.clone())) {
            continue;
        }
        let path = filled(&world, &route.path).await;
        let method = Method::from_bytes(route.method.as_bytes()).expect("a method");
        let body = (method != Method::GET).then(|| json!({}));
        let answer = world.send(method, &path, body, Some(&world.token)).await;
        // A word where an id belongs is an id that is none.
        let taken_for_id = answer.body["error"]["title"] == "Invalid attribute" && !path.contains("/1");
        if answer.body["error"] == "InvalidEndpoint" || taken_for_id {
            continue;
        }
        let listed = route.method == "GET" && answer.status == 404 && NONE_HERE.contains(&route.path.as_str());
        if listed {
            none_here.insert(route.path.as_str());
        } else {
            missing.push(format!("{} {} ({})", route.method, route.path, answer.status));
        }
    }
    let total = judge.routes().len();
    println!("{} operations of {total} are driven", driven.len());
    let stale: Vec<_> = NONE_HERE.iter().filter(|path| !none_here.contains(**path)).collect();
    assert!(stale.is_empty(), "not served, or driven: {stale:#?}");
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
            "" if part == "{view_id}" => world.get("/api/v2/views").await.body["views"][0]["id"].to_string(),
            "" if part.starts_with('{') => "1".to_owned(),
            "" => part.to_owned(),
            list => world.truth(list).await.last().map_or("1".into(), |row| row["id"].to_string()),
        });
    }
    parts.join("/")
}
