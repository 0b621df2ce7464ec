//! Target fields that are looked at before an activation is stored: what does not fit is refused with what to do, what is missing can
//! be made.

use crate::support::{Setup, World};
use deskbridge::model::activation::Target;
use deskbridge::model::source::Credentials;
use deskbridge::pipeline::activate::manage;
use deskbridge::pipeline::activate::preflight::Preflight;
use deskbridge::pipeline::activate::stored::ActivationError;
use deskbridge::pipeline::audience;
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use deskbridge::zendesk::push;
use serde_json::{Value, json};

/// An account that is connected, and an audience.
async fn world() -> World {
    let world = World::new(Setup { users: 3, tickets: 0, ..Setup::default() }).await;
    world.connect(Default::default()).await;
    let written = json!({"name": "open", "entry": {"field": "email", "has_value": true}});
    audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await.expect("an audience");
    world
}

/// Looks at the fields of an activation with this mapping, and stores it where nothing is wrong.
async fn apply(world: &World, map: &str, create: bool) -> Result<Preflight, ActivationError> {
    let text = format!(
        "name = \"health\"\nsource = \"acme\"\ntarget = \"users\"\n[rows]\naudiences = [\"open\"]\n[[map]]\n{map}\n"
    );
    let activation = read(&text).expect("a definition");
    let looked = manage::prepare(&world.ctx, 1, &activation, create).await?;
    manage::apply(&world.ctx, 1, &activation).await.map(|()| looked)
}

/// Applies what must be refused: with these words, and nothing stored.
async fn refused(world: &World, map: &str, create: bool, expected: [&str; 2]) {
    match apply(world, map, create).await {
        Err(ActivationError::Refused { what, todo }) => {
            assert!(what.contains(expected[0]) && todo.contains(expected[1]), "{map}: {what} / {todo}");
        }
        other => panic!("{map}: {other:?}"),
    }
    assert_eq!(world.count("activation").await, 0, "{map}");
}

/// Changes a field in the account, which shows once what is known of its fields is old.
async fn change(world: &World, key: &str, given: Value) {
    let Credentials::ApiToken { email, token } = world.sim.credentials() else { panic!("no API token") };
    let url = format!("{}/api/v2/user_fields/{key}", world.sim.url);
    let request = reqwest::Client::new().put(url).header("user-agent", "test");
    let request = request.basic_auth(format!("{email}/token"), Some(token)).json(&json!({ "user_field": given }));
    assert!(request.send().await.expect("an answer").status().is_success());
    world.clock.advance(std::time::Duration::from_secs(360));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_stored() {
    let world = world().await;
    let mend = "mend the fields in Zendesk";
    for (map, create, expected) in [
        (
            "to = \"user_fields.unhappy\"\naudience = \"open\"",
            false,
            ["user_fields.unhappy: the account has no such field", "--create-fields"],
        ),
        ("to = \"user_fields.tier\"\nvalue = \"platinum\"", true, ["user_fields.tier: ", mend]),
        ("to = \"user_fields.tier\"\naudience = \"open\"", true, ["user_fields.tier: ", mend]),
        ("to = \"user_fields.orders_count\"\nvalue = \"many\"", true, ["user_fields.orders_count: ", mend]),
        ("to = \"user_fields.birthday\"\naudience = \"open\"", true, ["user_fields.birthday: ", mend]),
    ] {
        refused(&world, map, create, expected).await;
    }
    change(&world, "nickname", json!({"active": false})).await;
    let map = "to = \"user_fields.nickname\"\nvalue = \"x\"";
    refused(&world, map, true, ["user_fields.nickname: the field is switched off in the account", mend]).await;
    // Another title is the same field: fields are named by their keys.
    change(&world, "nickname", json!({"active": true, "title": "Called"})).await;
    apply(&world, map, false).await.expect("applied");
}

#[tokio::test]
async fn missing_fields_are_made_with_the_type_that_their_mapping_needs() {
    let world = world().await;
    // Nothing is made for a file that cannot be stored for another reason.
    let gone = "name = \"health\"\nsource = \"acme\"\ntarget = \"users\"\n[rows]\naudiences = [\"gone\"]\n\
                [[map]]\nto = \"user_fields.unhappy\"\naudience = \"gone\"\n";
    let refused = manage::prepare(&world.ctx, 1, &read(gone).expect("a definition"), true).await;
    assert!(matches!(refused, Err(ActivationError::Refused { .. })), "{refused:?}");
    let map = "to = \"user_fields.unhappy\"\naudience = \"open\"\nentered_to = \"user_fields.since\"\n[[map]]\n\
               to = \"user_fields.open_count\"\nfrom = \"open_tickets\"";
    let looked = apply(&world, map, true).await.expect("applied");
    let made = ["user_fields.unhappy (dropdown)", "user_fields.since (date)", "user_fields.open_count (integer)"];
    assert_eq!(looked.created, made);
    let client = world.ctx.client(&world.source().await).expect("a client");
    let fields = push::fields(&client, Target::Users).await.expect("fields");
    let unhappy = fields.iter().find(|field| field.name == "user_fields.unhappy").expect("the field");
    assert_eq!(
        (unhappy.kind.as_str(), unhappy.options.as_slice()),
        ("dropdown", ["realized", "exited"].map(String::from).as_slice())
    );
    let again = apply(&world, map, true).await.expect("applied");
    assert!(again.created.is_empty(), "{again:?}");
}
