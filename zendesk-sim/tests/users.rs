//! Users over HTTP: making, finding, changing, merging and deleting them; identities and tags.
mod common;

use common::World;
use serde_json::{Value, json};
use zendesk_sim::Settings;

const NONE: Value = Value::Null;

async fn user(world: &World, given: Value) -> Value {
    world.expect("POST /users", json!({ "user": given }), 201, &[]).await["user"].clone()
}

#[tokio::test]
async fn users_are_checked_when_made() {
    let world = World::start(Settings::default()).await;
    let cases = [
        (json!({}), "name", "ValueTooShort"),
        (json!({"name": "A", "email": "no address"}), "email", "InvalidValue"),
        (json!({"name": "A", "role": "king"}), "role", "InvalidValue"),
        (json!({"name": "A", "organization_id": 1}), "organization", "InvalidValue"),
        (json!({"name": "A", "user_fields": {"tier": "none such"}}), "tier", "InvalidValue"),
        (json!({"name": "A", "user_fields": {"birthday": "soon"}}), "birthday", "InvalidValue"),
        (json!({"name": "A", "user_fields": {"loyalty_number": "x"}}), "loyalty_number", "InvalidValue"),
        (json!({"name": "A", "identities": [{"type": "phone_number", "value": "12"}]}), "value", "InvalidValue"),
    ];
    for (given, field, error) in cases {
        let place = format!("/details/{field}/0/error");
        world.expect("POST /users", json!({ "user": given }), 422, &[(&place, json!(error))]).await;
    }
    let given = json!({"name": "Zoe", "external_id": 77, "tags": ["VIP", "two words"], "phone": "+15551234567",
        "user_fields": {"tier": "tier_gold", "birthday": "2001-02-03", "nothing": 1}, "url": "x"});
    let answer = world.post("/api/v2/users", json!({ "user": given })).await;
    let made = &answer.body["user"];
    assert_eq!((&made["external_id"], &made["tags"]), (&json!("77"), &json!(["vip", "two", "words"])));
    assert_eq!(made["user_fields"]["birthday"], "2001-02-03T00:00:00Z");
    let warned = answer.headers["x-zendesk-api-warn"].to_str().expect("text");
    assert!(warned.contains("user.url") && warned.contains("user.user_fields.nothing"), "{warned}");
    assert!(answer.headers["location"].to_str().expect("text").ends_with(&format!("/users/{}.json", made["id"])));
    let identities = world.expect(&format!("GET /users/{}/identities", made["id"]), NONE, 200, &[]).await;
    assert_eq!(identities["identities"][0]["value"], "+15551234567");
    // A number nobody can dial is kept, and finds nobody.
    let local = user(&world, json!({"name": "B", "phone": "0123"})).await;
    world.expect(&format!("GET /users/{}/identities", local["id"]), NONE, 200, &[("/count", json!(0))]).await;
}

#[tokio::test]
async fn whoever_asked_more_than_ten_thousand_times_is_not_merged() {
    let world = World::start(Settings { users: Some(1), tickets: Some(10_500), ..Settings::default() }).await;
    let people = world.expect("GET /users?role=end-user", NONE, 200, &[]).await;
    let id = people["users"][0]["id"].clone();
    let related = world.expect(&format!("GET /users/{id}/related"), NONE, 200, &[]).await;
    let asked = related["user_related"]["requested_tickets"].as_u64().expect("a number");
    assert!(asked > 10_000, "{asked}: {people}");
    let other = world.act(json!({"do": "create_user", "name": "Other"})).await["id"].clone();
    let merge = json!({"user": {"id": other}});
    world.expect(&format!("PUT /users/{id}/merge"), merge, 422, &[("/error", json!("RecordInvalid"))]).await;
}

#[tokio::test]
async fn create_or_update_finds_without_regard_to_case_and_takes_the_new_one() {
    let world = World::start(Settings::default()).await;
    let ask = |given: Value| json!({ "user": given });
    let first = json!({"name": "Ana", "external_id": "Abc", "email": "ana@x.example"});
    let made =
        world.expect("POST /users/create_or_update", ask(first), 201, &[("/user/role", json!("end-user"))]).await;
    let id = made["user"]["id"].clone();
    let places = [("/user/id", id.clone()), ("/user/external_id", json!("aBC"))];
    world.expect("POST /users/create_or_update", ask(json!({"external_id": "aBC"})), 200, &places).await;
    let places = [("/user/id", id.clone()), ("/user/name", json!("Anna"))];
    let by_email = json!({"email": "ANA@x.example", "name": "Anna"});
    let answer = world.post("/api/v2/users/create_or_update", ask(by_email)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains_key("location"));
    world.expect(&format!("GET /users/{id}"), NONE, 200, &places).await;
    // Another address becomes a second one; the primary stays.
    world
        .expect(
            &format!("PUT /users/{id}"),
            ask(json!({"email": "b@x.example"})),
            200,
            &[("/user/email", json!("ana@x.example"))],
        )
        .await;
    world
        .expect(
            "POST /users",
            ask(json!({"name": "C", "external_id": "ABC"})),
            422,
            &[("/details/external_id/0/error", json!("DuplicateValue"))],
        )
        .await;
}

#[tokio::test]
async fn users_are_found_in_many_ways() {
    let world = World::start(Settings::default()).await;
    let one =
        user(&world, json!({"name": "Xenia Quist", "email": "xq@x.example", "external_id": "Q-1"})).await["id"].clone();
    let found = [("/users/0/id", one.clone()), ("/count", json!(1))];
    let ways = [
        "/users/search?query=xq@x.example",
        "/users/search?external_id=q-1",
        "/users/search?query=Xenia",
        "/users/search?query=name:%22xenia quist%22",
        "/users/search?query=email:xq@x.example",
        "/users/search?query=xen*",
        "/users/autocomplete?name=quis",
        "/users/show_many?external_ids=q-1,none",
        "/users?external_id=q-1",
    ];
    for path in ways {
        world.expect(&format!("GET {path}"), NONE, 200, &found).await;
    }
    let wrong = [("/error/title", json!("Invalid attribute"))];
    world.expect("GET /users/search?query=x&page[size]=2", NONE, 400, &wrong).await;
    world.expect("GET /users/autocomplete?name=x", NONE, 400, &[]).await;
    let many = (1..=101).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    world.expect(&format!("GET /users/show_many?ids={many}"), NONE, 400, &[("/error", json!("TooManyValues"))]).await;
    world.expect(&format!("DELETE /users/{one}"), NONE, 200, &[("/user/active", json!(false))]).await;
    world.expect(&format!("GET /users/show_many?ids={one}"), NONE, 200, &[("/count", json!(0))]).await;
    let with = format!("GET /users/show_many?ids={one}&include_deleted=true");
    world.expect(&with, NONE, 200, &[("/users/0/active", json!(false))]).await;
    world.expect("GET /users/search?query=Xenia", NONE, 200, &[("/count", json!(0))]).await;
}

#[tokio::test]
async fn identities_are_whole() {
    let world = World::start(Settings::default()).await;
    let one = user(&world, json!({"name": "A", "email": "a@x.example"})).await["id"].clone();
    let path = format!("/users/{one}/identities");
    let give = |kind: &str, value: &str| json!({"identity": {"type": kind, "value": value}});
    let cases = [
        ("odd", "x", "type"),
        ("email", "a@x.example", "value"),
        ("email", "bad", "value"),
        ("phone_number", "1", "value"),
        ("email", "", "value"),
    ];
    user(&world, json!({"name": "B", "email": "b@x.example"})).await;
    for (kind, value, field) in cases {
        let refused = world.expect(&format!("POST {path}"), give(kind, value), 422, &[]).await;
        assert!(refused["details"][field].is_array(), "{kind} {value}: {refused}");
    }
    let taken = [("/details/value/0/description", json!("Value: b@x.example is already being used by another user"))];
    world.expect(&format!("POST {path}"), give("email", "b@x.example"), 422, &taken).await;
    let places = [("/identity/primary", json!(false)), ("/identity/verified", json!(false))];
    let second = world.expect(&format!("POST {path}"), give("email", "a2@x.example"), 201, &places).await;
    let second = second["identity"]["id"].clone();
    world.expect(&format!("POST {path}"), give("phone_number", "+4915112345678"), 201, &[]).await;
    world.expect(&format!("GET {path}?type[]=phone_number"), NONE, 200, &[("/count", json!(1))]).await;
    let verified = [("/identity/verified", json!(true))];
    world.expect(&format!("PUT {path}/{second}/verify"), NONE, 200, &verified).await;
    world.expect(&format!("PUT {path}/{second}/request_verification"), NONE, 200, &[]).await;
    world.expect(&format!("PUT {path}/{second}/make_primary"), NONE, 200, &[("/count", json!(3))]).await;
    world.expect(&format!("GET /users/{one}"), NONE, 200, &[("/user/email", json!("a2@x.example"))]).await;
    world.expect(&format!("DELETE {path}/{second}"), NONE, 422, &[]).await;
    let list = world.expect(&format!("GET {path}"), NONE, 200, &[]).await;
    let first = list["identities"][0]["id"].clone();
    world.expect(&format!("DELETE {path}/{first}"), NONE, 204, &[]).await;
    world.expect(&format!("GET {path}/{first}"), NONE, 404, &[]).await;
}

#[tokio::test]
async fn merging_and_deleting_have_their_rules() {
    let world = World::start(Settings::default()).await;
    let (a, b) = (
        user(&world, json!({"name": "A"})).await["id"].clone(),
        user(&world, json!({"name": "B"})).await["id"].clone(),
    );
    let agent = user(&world, json!({"name": "C", "role": "agent"})).await["id"].clone();
    for (loser, winner, status) in [(&a, &a, 403), (&a, &agent, 403), (&agent, &a, 403), (&a, &NONE, 404)] {
        let body = json!({"user": {"id": winner}});
        world.expect(&format!("PUT /users/{loser}/merge"), body, status, &[]).await;
    }
    world.expect(&format!("PUT /users/{a}/merge"), json!({"user": {"id": b}}), 200, &[("/user/id", b.clone())]).await;
    world.expect(&format!("DELETE /deleted_users/{b}"), NONE, 422, &[]).await;
    world.expect(&format!("DELETE /users/{b}"), NONE, 200, &[]).await;
    let places = [("/deleted_user/id", b.clone()), ("/deleted_user/active", json!(false))];
    world.expect(&format!("GET /deleted_users/{b}"), NONE, 200, &places).await;
    world.expect(&format!("GET /users/{b}/compliance_deletion_statuses"), NONE, 404, &[]).await;
    world.expect(&format!("DELETE /deleted_users/{b}"), NONE, 200, &places).await;
    let asked = [("/compliance_deletion_statuses/0/action", json!("request_deletion"))];
    world.expect(&format!("GET /users/{b}/compliance_deletion_statuses"), NONE, 200, &asked).await;
    world.expect(&format!("GET /users/{b}"), NONE, 404, &[]).await;
    let shared = world.act(json!({"do": "create_user", "name": "Theirs", "shared": true})).await;
    let path = format!("PUT /users/{}", shared["id"]);
    world.expect(&path, json!({"user": {"name": "Mine"}}), 403, &[("/error/title", json!("Forbidden"))]).await;
}

#[tokio::test]
async fn what_hangs_on_a_user() {
    let world = World::start(Settings::default()).await;
    let one = user(&world, json!({"name": "A"})).await["id"].clone();
    let given = json!({"ticket": {"comment": {"body": "x"}, "requester_id": one}});
    world.expect("POST /tickets", given, 201, &[]).await;
    world
        .expect(&format!("GET /users/{one}/related"), NONE, 200, &[("/user_related/requested_tickets", json!(1))])
        .await;
    for list in ["tickets/requested", "requests"] {
        world.expect(&format!("GET /users/{one}/{list}"), NONE, 200, &[("/count", json!(1))]).await;
    }
    for list in ["tickets/assigned", "tickets/ccd", "groups", "organizations"] {
        world.expect(&format!("GET /users/{one}/{list}"), NONE, 200, &[("/count", json!(0))]).await;
    }
    let tags = format!("/users/{one}/tags");
    world.expect(&format!("POST {tags}"), json!({"tags": ["a", "b"]}), 201, &[]).await;
    world.expect(&format!("DELETE {tags}"), json!({"tags": ["a"]}), 200, &[("/tags", json!(["b"]))]).await;
    let counted = format!("/open_ticket_count/{one}");
    let included = format!("GET /users/{one}?include=identities,open_ticket_count");
    world.expect(&included, NONE, 200, &[("/identities", json!([])), (&counted, json!(1))]).await;
}
