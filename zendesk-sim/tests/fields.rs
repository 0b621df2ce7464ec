//! Custom fields of users, organizations and tickets, and the options of drop-downs.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

#[tokio::test]
async fn fields_are_made_changed_and_deleted() {
    let world = World::start(Settings::default()).await;
    for (many, one) in [("user_fields", "user_field"), ("organization_fields", "organization_field")] {
        let given = json!({one: {"title": "Plan", "key": "plan_name", "description": "d"}});
        let places = [("type", json!("text")), ("position", json!(9999)), ("raw_title", json!("Plan"))];
        let places = places.map(|(key, value)| (format!("/{one}/{key}"), value));
        let places: Vec<_> = places.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let made = world.expect(&format!("POST /{many}"), given.clone(), 201, &places).await;
        let id = made[one]["id"].clone();
        let taken = [("/details/key/0/error", json!("DuplicateValue"))];
        world.expect(&format!("POST /{many}"), given, 422, &taken).await;
        for (key, error) in [("", "BlankValue"), ("12", "InvalidValue"), ("a-b", "InvalidValue")] {
            let given = json!({one: {"title": "x", "key": key}});
            world.expect(&format!("POST /{many}.json"), given, 422, &[("/details/key/0/error", json!(error))]).await;
        }
        let title = format!("/{one}/title");
        let given = json!({one: {"title": "Level", "key": "other", "id": 1}});
        world.expect(&format!("PUT /{many}/{id}"), given, 200, &[(&title, json!("Level"))]).await;
        world.expect(&format!("GET /{many}/plan_name"), NONE, 200, &[(&title, json!("Level"))]).await;
        world.expect(&format!("DELETE /{many}/{id}"), NONE, 204, &[]).await;
        world.expect(&format!("GET /{many}/{id}"), NONE, 404, &[("/error", json!("RecordNotFound"))]).await;
    }
}

#[tokio::test]
async fn options_are_made_changed_and_dropped() {
    let world = World::start(Settings::default()).await;
    let options = json!([{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]);
    for (many, one, kind) in [("user_fields", "user_field", "dropdown"), ("ticket_fields", "ticket_field", "tagger")] {
        let given = json!({one: {"title": "Size", "key": "size", "type": kind, "custom_field_options": options}});
        let field = world.expect(&format!("POST /{many}"), given, 201, &[]).await[one].clone();
        let path = format!("{many}/{}", field["id"]);
        let first = field["custom_field_options"][0]["id"].clone();
        let given = json!({"custom_field_option": {"name": "C", "value": "c"}});
        world.expect(&format!("POST /{path}/options"), given.clone(), 201, &[]).await;
        world
            .expect(
                &format!("POST /{path}/options"),
                given,
                422,
                &[("/details/value/0/error", json!("DuplicateValue"))],
            )
            .await;
        let given = json!({"custom_field_option": {"id": first, "name": "AA", "value": "a"}});
        let named = [("/custom_field_option/name", json!("AA")), ("/custom_field_option/id", first.clone())];
        world.expect(&format!("POST /{path}/options"), given, 200, &named).await;
        world.expect(&format!("GET /{path}/options/{first}"), NONE, 200, &named).await;
        world.expect(&format!("GET /{path}/options"), NONE, 200, &[("/count", json!(3))]).await;
        // What a PUT does not list is gone; what it lists by value keeps its id.
        let given = json!({one: {"custom_field_options": [{"name": "A", "value": "a"}]}});
        let kept = format!("/{one}/custom_field_options/0/id");
        let gone = format!("/{one}/custom_field_options/1");
        world.expect(&format!("PUT /{path}"), given, 200, &[(&kept, first.clone()), (&gone, NONE)]).await;
        world.expect(&format!("DELETE /{path}/options/{first}"), NONE, 204, &[]).await;
        world.expect(&format!("GET /{path}/options"), NONE, 200, &[("/count", json!(0))]).await;
    }
}

#[tokio::test]
async fn fields_are_reordered_and_system_fields_stay() {
    let world = World::start(Settings::default()).await;
    let list = world.expect("GET /user_fields?page[size]=3", NONE, 200, &[("/meta/has_more", json!(true))]).await;
    let ids: Vec<_> = list["user_fields"].as_array().expect("rows").iter().map(|row| row["id"].clone()).collect();
    let order = json!({"user_field_ids": [ids[2], ids[0]]});
    world.expect("PUT /user_fields/reorder", order, 200, &[]).await;
    world.expect("GET /user_fields", NONE, 200, &[("/user_fields/0/id", ids[2].clone())]).await;
    let system = world.expect("GET /ticket_fields", NONE, 200, &[]).await["ticket_fields"][0]["id"].clone();
    world.expect(&format!("DELETE /ticket_fields/{system}"), NONE, 422, &[]).await;
    world.expect("POST /ticket_fields", json!({"ticket_field": {"type": "nonsense", "title": "x"}}), 422, &[]).await;
    world.expect("GET /ticket_fields/count", NONE, 200, &[("/count/value", json!(16))]).await;
}
