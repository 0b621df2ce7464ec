//! Activations by their files: what is stored, what is refused, and what remains when one is deleted.

use crate::support::{Setup, World};
use deskbridge::db;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::manage;
use deskbridge::pipeline::activate::stored::{self, ActivationError, Stored};
use deskbridge::pipeline::{audience, lifecycle};
use deskbridge::rules::activation::read::read;
use deskbridge::rules::audience::define;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "health"
source = "acme"
target = "users"
[rows]
audiences = ["open"]
[when]
always = true
[[map]]
to = "user_fields.open_tickets"
from = "open_tickets"
[[tag]]
tag = "waits"
audience = "open"
"#;

/// A world whose account is connected, not read, with an audience.
async fn world() -> World {
    let world = World::new(Setup { users: 5, tickets: 5, ..Setup::default() }).await;
    world.connect(Default::default()).await;
    for name in ["open", "other"] {
        let written = json!({"name": name, "entry": {"field": "zd.open_tickets", "greater_than": 0}});
        audience::apply(&world.ctx, 1, &define(&written).expect("a definition")).await.expect("an audience");
    }
    world
}

async fn apply(world: &World, text: &str) -> Result<(), ActivationError> {
    manage::apply(&world.ctx, 1, &read(text).expect("a definition")).await
}

async fn found(world: &World, name: &str) -> Stored {
    stored::find(&mut world.ctx.pool.acquire().await.expect("a connection"), 1, name).await.expect("the activation")
}

#[tokio::test]
async fn a_definition_is_stored_and_asks_for_its_rows_again_only_when_it_wants_something_else() {
    let world = world().await;
    apply(&world, FILE).await.expect("applied");
    let first = found(&world, "health").await;
    assert_eq!(first.activation, read(FILE).expect("a definition"));
    assert_eq!((first.stage, first.replan_at), (4, Some(world.clock.now())));
    assert_eq!(first.needs, ["audience:open", "ticket"]);
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    db::activation::replanned(&mut db, 1, first.id, world.clock.now()).await.expect("noted");
    db::activation::set_trouble(&mut db, 1, first.id, Some(("gone", "mend it")), world.clock.now())
        .await
        .expect("noted");
    // The same with another title: nothing to look at again; what was wrong may be mended.
    apply(&world, &format!("title = \"Health\"\n{FILE}")).await.expect("applied");
    let same = found(&world, "health").await;
    assert_eq!((same.replan_at, same.trouble), (None, None));
    apply(&world, &FILE.replace("waits", "waiting")).await.expect("applied");
    assert!(found(&world, "health").await.replan_at.is_some());
    // Roll-out in stages begins with nothing, and keeps its stage until something else is wanted.
    let staged = FILE.replace("[when]", "[guards]\nstages = true\n[when]");
    apply(&world, &staged).await.expect("applied");
    assert_eq!(found(&world, "health").await.stage, 0);
    db::activation::set_stage(&mut db, 1, first.id, 2).await.expect("set");
    apply(&world, &format!("title = \"Health\"\n{staged}")).await.expect("applied");
    assert_eq!(found(&world, "health").await.stage, 2);
    apply(&world, &staged.replace("waits", "still_waits")).await.expect("applied");
    assert_eq!(found(&world, "health").await.stage, 0);
    assert_eq!(world.count("activation").await, 1);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_is_stored() {
    let mut world = world().await;
    world.ctx = {
        let mut settings = (*world.ctx.settings).clone();
        settings.privacy.personal_fields = vec!["zd.birthday".into()];
        deskbridge::app::context(settings, world.clock.clone()).expect("a context")
    };
    apply(&world, FILE).await.expect("applied");
    let check = async |text: &str, expected: &str| {
        let error = apply(&world, text).await.expect_err(expected);
        assert_eq!(error.to_string(), expected, "{text}");
        assert!(matches!(error, ActivationError::Refused { ref todo, .. } if !todo.is_empty()), "{error:?}");
    };
    let second = FILE.replace("\"health\"", "\"second\"");
    check(&second.replace("acme", "acme-2"), "source: there is no source \"acme-2\"").await;
    check(&FILE.replace("open\"]", "open\", \"none\"]"), "there is no audience \"none\", which the file names").await;
    check(&second, "activation health writes user_fields.open_tickets of source acme already").await;
    check(
        &second.replace("user_fields.open_tickets", "notes"),
        "activation health writes tag waits of source acme already",
    )
    .await;
    check(
        &FILE
            .replace("\"users\"", "\"organizations\"")
            .replace("user_fields.open_tickets", "notes")
            .replace("from = \"open_tickets\"", "value = 1"),
        "activation health writes users of source acme; it cannot be turned to organizations of source acme",
    )
    .await;
    check(
        &second.replace("from = \"open_tickets\"", "from = \"zd.birthday\"").replace("waits", "w"),
        "personal_data: user_fields.open_tickets gives away \"zd.birthday\", which is personal data; name it here if it may go to Zendesk",
    )
    .await;
    let sell = "name = \"sell\"\nsource = \"acme\"\ntarget = \"sell_contacts\"\npersonal_data = [\"last_name\"]\n[rows]\naudiences = [\"open\"]\n\
         [key]\nby = \"email\"\nfrom = \"email\"\n[[map]]\nto = \"last_name\"\nfrom = \"last_name\"\n";
    check(sell, "source: acme is of kind \"zendesk\"; sell_contacts are written to a connected Zendesk Sell account")
        .await;
    assert_eq!(world.count("activation").await, 1);
    // What another writes elsewhere, or to other fields, is no obstacle.
    apply(&world, &second.replace("user_fields.open_tickets", "notes").replace("waits", "w")).await.expect("applied");
}

#[tokio::test]
async fn an_audience_that_is_delivered_stays_and_a_source_that_goes_takes_no_activation_along() {
    let world = world().await;
    apply(&world, FILE).await.expect("applied");
    let error = audience::delete(&world.ctx, 1, "open").await.expect_err("refused");
    assert_eq!(error.to_string(), "activation \"health\" names it; change or delete that one first");
    audience::delete(&world.ctx, 1, "other").await.expect("deleted");
    lifecycle::disconnect(&world.ctx, &world.source().await).await.expect("disconnected");
    assert_eq!(found(&world, "health").await.name, "health");
    let (_, said, _) = world.command(&["activation", "show", "health", "--json"], "").await;
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&told["state"], &told["problems"][0]["what"]),
        (&json!("stopped"), &json!("source acme is disconnected"))
    );
    assert_eq!(told["problems"][0]["what_to_do"], "deskbridge source reconnect acme");
}

#[tokio::test]
async fn deleting_waits_for_calls_and_takes_ledger_runs_and_records_along() {
    let world = world().await;
    apply(&world, FILE).await.expect("applied");
    let stored = found(&world, "health").await;
    let (now, source) = (world.clock.now(), stored.source_id);
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let new = db::push_run::New {
        activation_id: stored.id,
        source_id: source,
        kind: RunKind::Run,
        state: RunState::Sending,
        definition: &stored.activation.written,
        stage: 4,
        undoes: None,
    };
    let run = db::push_run::begin(&mut db, 1, &new, now).await.expect("a run");
    let call = db::push_job::store(&mut db, 1, (run.id, source), "users_update_many", 1, now).await.expect("a call");
    let error = manage::delete(&world.ctx, 1, "health").await.expect_err("refused");
    assert_eq!(error.to_string(), "calls of activation health are under way in Zendesk: 1");
    sqlx::query("UPDATE push_job SET ended_at = stored_at WHERE id = $1")
        .bind(call)
        .execute(&mut *db)
        .await
        .expect("ended");
    manage::delete(&world.ctx, 1, "health").await.expect("deleted");
    for table in ["activation", "push_run", "push_job", "push_record", "delivery", "activation_due"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    let error = manage::delete(&world.ctx, 1, "health").await.expect_err("gone");
    assert_eq!(error.to_string(), "there is no activation \"health\"");
}

#[tokio::test]
async fn an_activation_by_command_from_its_file_to_its_end() {
    let world = world().await;
    let run =
        async |arguments: &[&str], given: &str| world.command(&[&["activation"], arguments].concat(), given).await;
    let (code, said, _) = run(&["list"], "").await;
    assert_eq!((code, said.as_str()), (Some(0), "There is no activation yet: deskbridge activation apply -f FILE\n"));
    let (code, said, _) = run(&["diff", "-f", "-"], FILE).await;
    assert_eq!(code, Some(1), "all would be added");
    assert!(said.contains("added: map to user_fields.open_tickets: from zd.open_tickets\n"), "{said}");
    let (code, _, error) =
        run(&["apply", "-f", "-"], &FILE.replace("open_tickets\"\nfrom", "open tickets\"\nfrom")).await;
    assert_eq!(code, Some(2));
    let expected = "error: -: map[0].to: expected user_fields. and the field's key: letters, digits and _, not digits alone, \
         found \"user_fields.open tickets\"\nwhat to do: the README explains every key";
    assert!(error.starts_with(expected), "{error}");
    let (code, _, error) = run(&["apply", "-f", "-"], FILE).await;
    assert_eq!(code, Some(1));
    let expected = "error: activation health does not fit its account:\n  user_fields.open_tickets: the account has no such field\n\
                    what to do: missing custom fields are made with the right type by: deskbridge activation apply -f FILE --create-fields\n";
    assert_eq!(error, expected);
    let (code, said, error) = run(&["apply", "-f", "-", "--create-fields"], FILE).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(error, "Made in Zendesk: user_fields.open_tickets (integer)\n");
    for expected in [
        "state                     on\n",
        "user_fields.open_tickets  from zd.open_tickets\n",
        "tag waits                 worn while in audience open\n",
    ] {
        assert!(said.contains(expected), "{expected:?}: {said}");
    }
    assert_eq!(run(&["diff", "-f", "-"], FILE).await.0, Some(0));
    let (code, said, _) = run(&["diff", "-f", "-", "--json"], &FILE.replace("waits", "wait")).await;
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, told["differences"].as_array().map(Vec::len)), (Some(1), Some(2)), "{said}");
    let (code, said, _) = run(&["pause", "health"], "").await;
    assert_eq!(code, Some(0));
    assert!(said.contains("it is paused\nwhat to do: deskbridge activation resume health lets it go on\n"), "{said}");
    let (_, said, _) = run(&["list"], "").await;
    assert!(said.lines().any(|line| line.starts_with("health  acme    users   paused")), "{said}");
    let (_, said, _) = run(&["resume", "health", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["state"], "on");
    assert_eq!(run(&["delete", "health"], "").await.0, Some(2), "it asks, and nobody answers");
    assert_eq!(run(&["delete", "health", "--yes"], "").await.0, Some(0));
    let (code, _, error) = run(&["show", "health"], "").await;
    assert_eq!(code, Some(1));
    assert_eq!(error, "error: there is no activation \"health\"\nwhat to do: deskbridge activation list shows them\n");
}
