//! Our own writing comes back by webhook and by export, and is no statement of Zendesk's; what a person changes there is.

use crate::support::{Setup, World};
use serde_json::{Value, json};

/// A world in which an activation has given Lisa her name and phone as the CDP had them, while the CDP has learned better since.
async fn world() -> (World, Value) {
    let world = World::synced(Setup::default()).await;
    let lisa =
        json!({"do": "create_user", "name": "Lisa Simpson", "email": "lisa@springfield.io", "phone": "+15550100"});
    let lisa = world.act(lisa).await["id"].clone();
    world.run_jobs().await;
    world.settle().await;
    sqlx::query(
        "INSERT INTO activation (workspace_id, name, title, source_id, definition, needs, always, stage, created_at, updated_at)
         VALUES (1, 'phones', '', (SELECT id FROM source), '{\"target\": \"users\"}',
             '{field:phone,field:first_name,field:last_name,field:zd.details}', false, 4, $1, $1)",
    )
    .bind(world.clock.now())
    .execute(&world.ctx.pool)
    .await
    .expect("an activation");
    let written = |value: &str| json!({"v": value, "was": null, "at": world.clock.now()});
    sqlx::query(
        "INSERT INTO delivery (workspace_id, activation_id, row_key, person_id, source_id, record_id, digest, written, pending, run_id, written_at)
         SELECT 1, a.id, 'person:' || p.id, p.id, a.source_id, $1, 0, $2, $3, 1, $4 FROM activation a, person p WHERE p.email = 'lisa@springfield.io'",
    )
    .bind(lisa.to_string())
    .bind(json!({"phone": written("+15550111"), "notes": written("ours")}))
    .bind(json!({"name": "Elisabeth Simpson"}))
    .bind(world.clock.now())
    .execute(&world.ctx.pool)
    .await
    .expect("a ledger");
    sqlx::query(
        "UPDATE person SET phone = '+15550122', first_name = 'Liz', provenance = coalesce(provenance, '{}') || jsonb_build_object(
             'phone', jsonb_build_object('source', 99, 'at', '2026-06-15T12:30:00Z'),
             'first_name', jsonb_build_object('source', 99, 'at', '2026-06-15T12:30:00Z'))
         WHERE email = 'lisa@springfield.io'",
    )
    .execute(&world.ctx.pool)
    .await
    .expect("the CDP knows better");
    (world, lisa)
}

async fn lisa(world: &World) -> (String, String, Value) {
    sqlx::query_as("SELECT first_name, phone, coalesce(fields -> 'zd.notes', 'null') FROM person WHERE email = 'lisa@springfield.io'")
        .fetch_one(&world.ctx.pool)
        .await
        .expect("Lisa")
}

#[tokio::test]
async fn an_echo_overwrites_nothing_newer_by_webhook_or_export() {
    for drop_webhooks in [0.0, 1.0] {
        let (world, id) = world().await;
        world.sim.post("faults", json!({"drop_webhooks": drop_webhooks})).await;
        let provenance = "SELECT provenance FROM person WHERE email = 'lisa@springfield.io'";
        let before: Value = world.value(provenance).await;
        let ours = json!({"do": "update_user", "user_id": id, "name": "Elisabeth Simpson", "phone": "+15550111", "notes": "ours"});
        world.act(ours).await;
        world.run_jobs().await;
        world.settle().await;
        assert_eq!(lisa(&world).await, ("Liz".into(), "+15550122".into(), json!("ours")), "{drop_webhooks}");
        let after: Value = world.value(provenance).await;
        assert_eq!((&after["phone"], &after["first_name"]), (&before["phone"], &before["first_name"]));
        assert_eq!(
            world.value::<String>("SELECT name FROM person_source WHERE name LIKE 'Elis%'").await,
            "Elisabeth Simpson"
        );
        // The same again is not even looked at.
        let seen = world.count("person_source WHERE seen = 0").await;
        world.sync().await;
        assert_eq!(world.count("person_source WHERE seen = 0").await, seen);
    }
}

#[tokio::test]
async fn what_we_replaced_comes_late_and_says_nothing() {
    let (world, id) = world().await;
    // A change of the agent's, told late: by then we have written the phone, which the record does not know of.
    world.sim.post("act", json!({"do": "update_user", "user_id": id, "details": "moved"})).await;
    world.advance(2, 0).await;
    let (now, sent) = (world.clock.now(), world.clock.now() - chrono::Duration::seconds(1));
    sqlx::query("UPDATE delivery SET written = $1")
        .bind(json!({"phone": {"v": "+15550111", "was": "+15550100", "at": now, "sent": sent}}))
        .execute(&world.ctx.pool)
        .await
        .expect("a ledger");
    world.sim.post("drain", json!({})).await;
    world.run_jobs().await;
    let details: Value =
        world.value("SELECT fields -> 'zd.details' FROM person WHERE email = 'lisa@springfield.io'").await;
    assert_eq!((details, lisa(&world).await.1), (json!("moved"), "+15550122".to_string()));
    // Who sets it back afterwards is heard.
    world.act(json!({"do": "update_user", "user_id": id, "phone": "+15550111"})).await;
    world.run_jobs().await;
    world.advance(60, 0).await;
    world.act(json!({"do": "update_user", "user_id": id, "phone": "+15550100"})).await;
    world.run_jobs().await;
    assert_eq!(lisa(&world).await.1, "+15550100");
}

#[tokio::test]
async fn a_person_in_zendesk_is_heard_even_in_the_same_second() {
    let (world, id) = world().await;
    // Ours and the agent's, without a moment between them.
    world.act(json!({"do": "update_user", "user_id": id, "name": "Elisabeth Simpson", "phone": "+15550111"})).await;
    world.act(json!({"do": "update_user", "user_id": id, "phone": "+15550133"})).await;
    world.run_jobs().await;
    assert_eq!(lisa(&world).await.0, "Liz");
    assert_eq!(lisa(&world).await.1, "+15550133");
    // Who goes back to what we wrote is heard as well, and so is a name that was there before ours.
    world.advance(60, 0).await;
    world.act(json!({"do": "update_user", "user_id": id, "phone": "+15550111", "name": "Lisa Simpson"})).await;
    world.settle().await;
    assert_eq!(lisa(&world).await.1, "+15550111");
    assert_eq!(lisa(&world).await.0, "Lisa");
}
