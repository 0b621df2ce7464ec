//! Groups, who is in them, and who belongs to which organization.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

#[tokio::test]
async fn agents_join_and_leave_groups() {
    let world = World::start(Settings::default()).await;
    let made = world.expect("POST /groups", json!({"group": {"name": "Night"}}), 201, &[]).await;
    let group = made["group"]["id"].clone();
    world.expect("POST /groups", json!({"group": {"name": "night"}}), 422, &[]).await;
    let agents = world.expect("GET /users?role=agent", NONE, 200, &[]).await;
    let agent = agents["users"][0]["id"].clone();
    let given = json!({"group_membership": {"user_id": agent, "group_id": group}});
    let places = [("/group_membership/default", json!(false)), ("/group_membership/user_id", agent.clone())];
    let made = world.expect("POST /group_memberships", given.clone(), 201, &places).await;
    world.expect("POST /group_memberships", given, 422, &[]).await;
    let id = made["group_membership"]["id"].clone();
    let default = format!("PUT /users/{agent}/group_memberships/{id}/make_default");
    world.expect(&default, NONE, 200, &[("/count", json!(2))]).await;
    world.expect(&format!("GET /users/{agent}"), NONE, 200, &[("/user/default_group_id", group.clone())]).await;
    world.expect(&format!("GET /users/{agent}/groups"), NONE, 200, &[("/count", json!(2))]).await;
    let with = format!("GET /groups/{group}?include=users");
    world.expect(&with, NONE, 200, &[("/users/0/id", agent.clone()), ("/group/user_ids/0", agent.clone())]).await;
    world.expect(&format!("DELETE /groups/{group}"), NONE, 204, &[]).await;
    world.expect(&format!("GET /group_memberships/{id}"), NONE, 404, &[]).await;
    world.expect(&format!("GET /groups/{group}"), NONE, 200, &[("/group/deleted", json!(true))]).await;
}

#[tokio::test]
async fn users_may_be_in_several_organizations() {
    let world = World::start(Settings::default()).await;
    let mut organizations = Vec::new();
    for name in ["One", "Two"] {
        let made = world.expect("POST /organizations", json!({"organization": {"name": name}}), 201, &[]).await;
        organizations.push(made["organization"]["id"].clone());
    }
    let user = json!({"user": {"name": "Ana", "organization_id": organizations[0]}});
    let user = world.expect("POST /users", user, 201, &[]).await["user"]["id"].clone();
    let given = json!({"organization_membership": {"user_id": user, "organization_id": organizations[1]}});
    let places =
        [("/organization_membership/default", NONE), ("/organization_membership/organization_name", json!("Two"))];
    let made = world.expect("POST /organization_memberships", given.clone(), 201, &places).await;
    let id = made["organization_membership"]["id"].clone();
    world.expect("POST /organization_memberships", given, 422, &[]).await;
    let count = [("/count", json!(2))];
    world.expect(&format!("GET /users/{user}/organization_memberships"), NONE, 200, &count).await;
    let list = format!("GET /organizations/{}/organization_memberships", organizations[1]);
    world.expect(&list, NONE, 200, &[("/organization_memberships/0/id", id.clone())]).await;
    world.expect(&format!("PUT /users/{user}/organization_memberships/{id}/make_default"), NONE, 200, &count).await;
    let place = format!("GET /users/{user}?include=organizations");
    world
        .expect(
            &place,
            NONE,
            200,
            &[("/user/organization_id", organizations[1].clone()), ("/organizations/0/name", json!("Two"))],
        )
        .await;
    world.expect(&format!("DELETE /organization_memberships/{id}"), NONE, 204, &[]).await;
    world.expect(&place, NONE, 200, &[("/user/organization_id", organizations[0].clone())]).await;
    world.expect(&format!("GET /organization_memberships/{id}"), NONE, 404, &[]).await;
    world.expect(&format!("DELETE /organizations/{}", organizations[0]), NONE, 204, &[]).await;
    world.expect(&place, NONE, 200, &[("/user/organization_id", NONE)]).await;
}
