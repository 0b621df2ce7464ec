//! Organizations over HTTP.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

async fn organization(world: &World, given: Value) -> Value {
    world.expect("POST /organizations", json!({ "organization": given }), 201, &[]).await["organization"].clone()
}

#[tokio::test]
async fn organizations_are_unique_found_and_changed() {
    let world = World::start(Settings::default()).await;
    let given = json!({"name": "Acme Tents", "external_id": "T-1", "domain_names": ["tents.example"], "tags": ["Big"]});
    let made = organization(&world, given).await;
    let id = &made["id"];
    assert_eq!(made["tags"], json!(["big"]));
    let cases = [
        (json!({"name": "acme tents"}), "name", "DuplicateValue"),
        (json!({"name": "Other", "external_id": "t-1"}), "external_id", "DuplicateValue"),
        (json!({}), "name", "BlankValue"),
        (json!({"name": "Other", "group_id": 1}), "group", "InvalidValue"),
        (json!({"name": "Other", "organization_fields": {"seats": "many"}}), "seats", "InvalidValue"),
    ];
    for (given, field, error) in cases {
        let place = format!("/details/{field}/0/error");
        world.expect("POST /organizations", json!({ "organization": given }), 422, &[(&place, json!(error))]).await;
    }
    let found = [("/organizations/0/id", id.clone()), ("/count", json!(1))];
    for path in [
        "search?name=ACME%20tents",
        "search?external_id=t-1",
        "autocomplete?name=acme%20t",
        "show_many?external_ids=T-1",
    ] {
        world.expect(&format!("GET /organizations/{path}"), NONE, 200, &found).await;
    }
    world.expect("GET /organizations/search", NONE, 400, &[]).await;
    let upsert = json!({"organization": {"external_id": "T-1", "notes": "n", "organization_fields": {"seats": 5}}});
    let places = [("/organization/id", id.clone()), ("/organization/organization_fields/seats", json!(5))];
    world.expect("POST /organizations/create_or_update", upsert, 200, &places).await;
    // The name alone does not find one.
    let named = json!({"organization": {"name": "Acme Tents"}});
    world.expect("POST /organizations/create_or_update", named, 422, &[]).await;
    let user = json!({"user": {"name": "A", "organization_id": id}});
    world.expect("POST /users", user, 201, &[]).await;
    let counts = [("/organization_related/users_count", json!(1)), ("/organization_related/tickets_count", json!(0))];
    world.expect(&format!("GET /organizations/{id}/related"), NONE, 200, &counts).await;
    world.expect(&format!("GET /organizations/{id}/users"), NONE, 200, &[("/count", json!(1))]).await;
    world
        .expect(
            &format!("PUT /organizations/{id}"),
            json!({"organization": {"name": "Tents"}}),
            200,
            &[("/organization/name", json!("Tents"))],
        )
        .await;
    organization(&world, json!({"name": "Acme Tents"})).await;
}

#[tokio::test]
async fn organizations_are_merged() {
    let world = World::start(Settings::default()).await;
    let (one, two) =
        (organization(&world, json!({"name": "One"})).await, organization(&world, json!({"name": "Two"})).await);
    let user = json!({"user": {"name": "A", "organization_id": one["id"]}});
    let user = world.expect("POST /users", user, 201, &[]).await["user"]["id"].clone();
    let body = json!({"organization_merge": {"winner_id": two["id"]}});
    let places = [("/organization_merge/winner_id", two["id"].clone())];
    let merge = world.expect(&format!("POST /organizations/{}/merge", one["id"]), body, 200, &places).await;
    let id = merge["organization_merge"]["id"].as_str().expect("an id").to_owned();
    world.expect(&format!("GET /organization_merges/{id}"), NONE, 200, &places).await;
    let list = format!("GET /organizations/{}/merges", two["id"]);
    world.expect(&list, NONE, 200, &[("/organization_merges/0/id", json!(id))]).await;
    world.expect(&format!("GET /organizations/{}", one["id"]), NONE, 404, &[]).await;
    world.expect(&format!("GET /users/{user}"), NONE, 200, &[("/user/organization_id", two["id"].clone())]).await;
}
