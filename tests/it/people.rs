//! Who a record is, what may be written, and who must not come back.

use crate::support::{Setup, World};
use deskbridge::model::field::{FieldPolicy, SystemField};
use deskbridge::model::name::NameSplitting;
use deskbridge::model::person::IdentityKind;
use deskbridge::model::source::SourceSettings;
use deskbridge::pipeline::{lifecycle, person};
use serde_json::{Value, json};

/// A connected and synced world with these options.
async fn world(settings: SourceSettings) -> World {
    let world = World::new(Setup { users: 5, tickets: 3, ..Setup::default() }).await;
    world.connect(settings).await;
    world.sync().await;
    world
}

async fn person(world: &World, email: &str) -> Option<Value> {
    let sql = "SELECT to_jsonb(p) FROM person p WHERE email = $1";
    sqlx::query_scalar(sql).bind(email).fetch_optional(&world.ctx.pool).await.expect(sql)
}

async fn id_of(world: &World, email: &str) -> i64 {
    person(world, email).await.expect("a person")["id"].as_i64().expect("an id")
}

async fn create(world: &World, name: &str, email: &str) -> Value {
    let user = world.act(json!({"do": "create_user", "name": name, "email": email})).await;
    world.run_jobs().await;
    user
}

#[tokio::test]
async fn names_are_split_at_the_first_space_and_only_when_they_change() {
    let world = world(SourceSettings::default()).await;
    let check = async |email: &str, first: Option<&str>, last: Option<&str>| {
        let found = person(&world, email).await.expect("a person");
        assert_eq!((found["first_name"].as_str(), found["last_name"].as_str()), (first, last), "{email}");
    };
    let homer = create(&world, "HomerSimpson", "one@x.io").await;
    check("one@x.io", Some("HomerSimpson"), None).await;
    create(&world, "Homer Jay  Simpson", "two@x.io").await;
    check("two@x.io", Some("Homer"), Some("Jay Simpson")).await;
    sqlx::query("UPDATE person SET first_name = 'By hand' WHERE email = 'one@x.io'")
        .execute(&world.ctx.pool)
        .await
        .expect("edited");
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": homer["id"], "notes": "likes donuts"})).await;
    world.run_jobs().await;
    check("one@x.io", Some("By hand"), None).await;
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": homer["id"], "name": "Homer Simpson"})).await;
    world.run_jobs().await;
    check("one@x.io", Some("Homer"), Some("Simpson")).await;
}

#[tokio::test]
async fn smart_splitting_is_an_option_of_the_source() {
    let world = world(SourceSettings { name_splitting: NameSplitting::Smart, ..SourceSettings::default() }).await;
    create(&world, "Simpson, Homer", "h@x.io").await;
    let found = person(&world, "h@x.io").await.expect("a person");
    assert_eq!((found["first_name"].as_str(), found["last_name"].as_str()), (Some("Homer"), Some("Simpson")));
}

#[tokio::test]
async fn policies_decide_what_a_source_may_write() {
    let mut settings = SourceSettings::default();
    settings.field_policies.insert(SystemField::Phone, FieldPolicy::FillEmpty);
    settings.field_policies.insert(SystemField::FirstName, FieldPolicy::Never);
    let world = world(settings).await;
    let user = create(&world, "Marge Bouvier", "marge@x.io").await;
    let set = "UPDATE person SET phone = '+49301234567' WHERE email = 'marge@x.io'";
    sqlx::query(set).execute(&world.ctx.pool).await.expect("edited");
    world.advance(5, 0).await;
    let change = json!({"do": "update_user", "user_id": user["id"], "name": "Maggie Simpson", "phone": "+14155550123", "locale": "fr"});
    world.act(change).await;
    world.run_jobs().await;
    let found = person(&world, "marge@x.io").await.expect("a person");
    assert_eq!(found["phone"], "+49301234567", "fill_empty keeps what is there");
    assert_eq!((found["first_name"].as_str(), found["last_name"].as_str()), (Some("Marge"), Some("Simpson")));
    assert_eq!(found["fields"]["zd.name"], "Maggie Simpson", "zd.* always follows Zendesk");
    assert_eq!(
        found["provenance"]["last_name"]["record"],
        user["id"].to_string(),
        "each field can answer who wrote it"
    );
}

#[tokio::test]
async fn opting_in_is_asserted_for_new_people_only() {
    let world = world(SourceSettings::default()).await;
    create(&world, "Before", "before@x.io").await;
    let source = world.source().await;
    let settings = SourceSettings { opt_in_email: true, ..source.settings.clone() };
    lifecycle::set_settings(&world.ctx, &source, &source.title, &settings).await.expect("set");
    create(&world, "After", "after@x.io").await;
    world.settle().await;
    let consent = |found: Option<Value>| {
        let found = found.expect("a person");
        (found["email_consent"].clone(), found["sms_consent"].clone())
    };
    assert_eq!(consent(person(&world, "before@x.io").await), (json!("unknown"), json!("unknown")));
    assert_eq!(consent(person(&world, "after@x.io").await), (json!("granted"), json!("unknown")));
    assert_eq!(world.count("consent_event WHERE evidence = 'operator_assertion' AND action = 'grant'").await, 1);
}

#[tokio::test]
async fn a_changed_address_is_the_same_person_and_a_freed_one_is_not() {
    let world = world(SourceSettings::default()).await;
    let user = create(&world, "Barney Gumble", "barney@x.io").await;
    let id = id_of(&world, "barney@x.io").await;
    world.advance(5, 0).await;
    world.act(json!({"do": "change_email", "user_id": user["id"], "email": "plow@x.io"})).await;
    world.run_jobs().await;
    assert_eq!(id_of(&world, "plow@x.io").await, id, "the link always wins (R34)");
    create(&world, "Somebody Else", "barney@x.io").await;
    assert_ne!(id_of(&world, "barney@x.io").await, id);
}

#[tokio::test]
async fn two_matches_become_a_candidate_and_never_a_merge() {
    let identifiers = vec![IdentityKind::ExternalId, IdentityKind::Email];
    let world = world(SourceSettings { identifiers, ..SourceSettings::default() }).await;
    world.act(json!({"do": "create_user", "name": "A", "email": "a@x.io", "external_id": "Crm-1"})).await;
    let b = world.act(json!({"do": "create_user", "name": "B", "email": "b@x.io"})).await;
    world.run_jobs().await;
    let people = world.count("person").await;
    sqlx::query("DELETE FROM person_source WHERE record_id = $1")
        .bind(b["id"].to_string())
        .execute(&world.ctx.pool)
        .await
        .expect("unlinked");
    sqlx::query("UPDATE identity SET value = 'crm-1-old' WHERE value = 'crm-1'")
        .execute(&world.ctx.pool)
        .await
        .expect("moved");
    sqlx::query("INSERT INTO identity SELECT workspace_id, kind, 'crm-9', person_id, source_id, record_id, verified, first_seen_at FROM identity WHERE value = 'crm-1-old'")
        .execute(&world.ctx.pool).await.expect("added");
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": b["id"], "external_id": "CRM-9"})).await;
    world.run_jobs().await;
    assert_eq!(world.count("person").await, people, "nobody is created");
    assert_eq!(world.count("merge_candidate").await, 1);
    assert_eq!(world.count("person_merge").await, 0);
}

#[tokio::test]
async fn agents_are_no_people_and_who_becomes_one_stays_as_they_were() {
    let world = world(SourceSettings::default()).await;
    assert!(world.count("agent").await > 0);
    assert_eq!(world.count("person WHERE fields->>'zd.role' <> 'end-user'").await, 0);
    let user = create(&world, "Carl Carlson", "carl@x.io").await;
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": user["id"], "role": "agent", "name": "Agent Carl"})).await;
    world.run_jobs().await;
    let found = person(&world, "carl@x.io").await.expect("kept");
    assert_eq!(found["first_name"], "Carl");
    assert_eq!(world.count("person_source WHERE status = 'agent'").await, 1);
}

#[tokio::test]
async fn a_merge_moves_everything_and_the_older_id_stays() {
    let world = world(SourceSettings::default()).await;
    let old = create(&world, "Old Record", "old@x.io").await;
    let new = create(&world, "New Record", "new@x.io").await;
    let (older, newer) = (id_of(&world, "old@x.io").await, id_of(&world, "new@x.io").await);
    world.act(json!({"do": "create_ticket", "requester_id": old["id"], "subject": "s", "body": "of the old"})).await;
    world.act(json!({"do": "create_ticket", "requester_id": new["id"], "subject": "s", "body": "of the new"})).await;
    world.run_jobs().await;
    world.advance(5, 0).await;
    world.act(json!({"do": "merge_users", "loser": old["id"], "winner": new["id"]})).await;
    world.run_jobs().await;
    world.settle().await;
    assert_eq!(world.count(&format!("person WHERE id = {newer}")).await, 0);
    let found: Value = world.value("SELECT to_jsonb(p) FROM person p WHERE email = 'new@x.io'").await;
    assert_eq!(
        (found["id"].as_i64(), found["first_name"].as_str()),
        (Some(older), Some("New")),
        "the winner's values, the older id"
    );
    assert_eq!(world.count(&format!("activity WHERE person_id = {older} AND type = 'zd.ticket.created'")).await, 2);
    assert_eq!(world.count(&format!("ticket WHERE person_id = {older}")).await, 2);
    assert_eq!(world.count(&format!("person_alias WHERE alias_id = {newer} AND person_id = {older}")).await, 1);
    assert_eq!(world.count("person WHERE archived_at IS NOT NULL").await, 0);
    let mut db = world.ctx.pool.acquire().await.expect("a connection");
    let profile = deskbridge::db::profile::load(&mut db, 1, older).await.expect("a profile");
    assert_eq!(profile["merges"].as_array().map(Vec::len), Some(1));
    assert_eq!(profile["aliases"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_archived_get_nothing_and_the_deleted_do_not_come_back() {
    let world = world(SourceSettings::default()).await;
    let user = create(&world, "Frank Grimes", "grimey@x.io").await;
    let id = id_of(&world, "grimey@x.io").await;
    person::archive(&world.ctx, 1, &[id], "asked for it").await.expect("archived");
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": user["id"], "name": "Changed Name"})).await;
    world.act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "s", "body": "after"})).await;
    world.settle().await;
    let found = person(&world, "grimey@x.io").await.expect("still archived");
    assert_eq!((found["first_name"].as_str(), found["archived_at"].is_null()), (Some("Frank"), false));
    assert_eq!(world.count(&format!("activity WHERE person_id = {id} AND message = 'after'")).await, 0);
    person::restore(&world.ctx, 1, &[id]).await.expect("restored");
    full_resync(&world).await;
    assert_eq!(person(&world, "grimey@x.io").await.expect("restored")["first_name"], "Changed");

    assert_eq!(person::delete(&world.ctx, 1, &[id], "asked for it").await.expect("deleted"), 1);
    world.advance(5, 0).await;
    world.act(json!({"do": "update_user", "user_id": user["id"], "name": "Once More"})).await;
    world.act(json!({"do": "create_user", "name": "Same Address", "email": "other@x.io"})).await;
    world.settle().await;
    full_resync(&world).await;
    assert_eq!(person(&world, "grimey@x.io").await, None, "neither by webhook nor by resync");
    for table in ["activity", "identity", "person_source", "activity_rollup", "consent_event", "ticket"] {
        assert_eq!(world.count(&format!("{table} WHERE person_id = {id}")).await, 0, "{table}");
    }
    assert_eq!(text_found(&world, "grimey@x.io").await, 0);
}

#[tokio::test]
async fn deleted_in_zendesk_archives_by_switch_and_deletes_after_29_days() {
    let world = world(SourceSettings { archive_when_deleted: true, ..SourceSettings::default() }).await;
    let user = create(&world, "Maude Flanders", "maude@x.io").await;
    world.advance(5, 0).await;
    world.act(json!({"do": "delete_user", "user_id": user["id"]})).await;
    world.settle().await;
    assert_eq!(world.count("person WHERE email = 'maude@x.io' AND archived_at IS NOT NULL").await, 1);
    world.advance(28 * 86_400, 0).await;
    deskbridge::pipeline::prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(world.count("person WHERE email = 'maude@x.io'").await, 1);
    world.advance(2 * 86_400, 0).await;
    deskbridge::pipeline::prune::prune(&world.ctx).await.expect("pruned");
    assert_eq!(world.count("person WHERE email = 'maude@x.io'").await, 0);
    assert!(world.count("tombstone").await > 0);
}

#[tokio::test]
async fn without_the_switch_the_deleted_stay() {
    let world = world(SourceSettings::default()).await;
    let user = create(&world, "Maude Flanders", "maude@x.io").await;
    world.advance(5, 0).await;
    world.act(json!({"do": "delete_user", "user_id": user["id"]})).await;
    world.settle().await;
    assert_eq!(world.count("person WHERE email = 'maude@x.io' AND archived_at IS NULL").await, 1);
    assert_eq!(world.count("person_source WHERE status = 'deleted' AND name = 'Maude Flanders'").await, 1);
}

#[tokio::test]
async fn a_ticket_deleted_for_good_leaves_no_text_anywhere() {
    let world = world(SourceSettings::default()).await;
    let user = create(&world, "Seymour Skinner", "armin@x.io").await;
    let ticket = world.act(json!({"do": "create_ticket", "requester_id": user["id"], "subject": "canary subject", "body": "canary body"})).await;
    world.advance(30, 0).await;
    world
        .act(json!({"do": "comment", "ticket_id": ticket["id"], "author_id": user["id"], "body": "canary reply"}))
        .await;
    world.settle().await;
    assert!(text_found(&world, "canary").await > 0);
    world.act(json!({"do": "delete_ticket", "ticket_id": ticket["id"]})).await;
    world.advance(30, 0).await;
    world.act(json!({"do": "permanently_delete_ticket", "ticket_id": ticket["id"]})).await;
    world.run_jobs().await;
    world.settle().await;
    full_resync(&world).await;
    assert_eq!(text_found(&world, "canary").await, 0);
    assert!(world.count("activity WHERE attributes ? 'redacted'").await > 0, "the skeleton stays");
}

/// Rows anywhere that hold a text.
async fn text_found(world: &World, text: &str) -> i64 {
    let mut found = 0;
    for table in ["person", "ticket", "activity", "person_merge", "person_source", "organization"] {
        found += world.count(&format!("{table} t WHERE to_jsonb(t)::text LIKE '%{text}%'")).await;
    }
    for table in ["raw_event", "dead_letter"] {
        found += world.count(&format!("{table} WHERE encode(body, 'escape') LIKE '%{text}%'")).await;
    }
    found
}

async fn full_resync(world: &World) {
    let source = world.source().await;
    let since = world.clock.now() - chrono::Duration::days(90);
    lifecycle::resync(&world.ctx, &source, lifecycle::Resync::Backfill(since)).await.expect("a resync");
    world.sync().await;
}
