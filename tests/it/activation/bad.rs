//! What goes wrong between planning and result (§5): a clear reason at the record, the rest untouched.

use super::bed::{Bed, Row, keyed, known};
use deskbridge::db::push_run::Run;
use deskbridge::model::push::{RecordState, RunKind};
use deskbridge::pipeline::activate::{poll, send};
use deskbridge::zendesk::push;
use serde_json::{Value, json};

async fn bed(account: fn(&mut zendesk_sim::Settings)) -> Bed {
    Bed::new(account, |settings| settings.activation.users_per_second = 10_000).await
}

fn nickname(id: i64, value: &str) -> Row {
    known(id, json!({"values": {"user_fields.nickname": value}}))
}

async fn delivered(bed: &Bed, rows: &[Row]) -> Run {
    let run = bed.plan(RunKind::Run, rows).await;
    bed.finish(&run).await;
    run
}

/// The states of the rows, in their order, with the class of the fault.
async fn states(bed: &Bed, run: &Run) -> Vec<String> {
    let word = |record: deskbridge::db::push_record::Record| match &record.fault {
        Some(fault) => format!("{} {}", record.state.as_str(), fault.class),
        None => record.state.as_str().to_owned(),
    };
    bed.records(run).await.into_iter().map(word).collect()
}

#[tokio::test]
async fn a_field_that_is_deleted_and_an_option_that_is_removed() {
    let bed = bed(|_| {}).await;
    let (first, second) = (bed.users[0], bed.users[1]);
    let rows = [
        known(first, json!({"values": {"user_fields.tier": "tier_platinum"}})),
        nickname(second, "fine"),
        known(bed.users[2], json!({"values": {"user_fields.not_there": "x"}})),
    ];
    let run = delivered(&bed, &rows).await;
    let found = states(&bed, &run).await;
    assert!(found[0].starts_with("failed "), "{found:?}");
    assert_eq!(found[1..], ["updated", "failed field_missing"]);
    let record = bed.record(&run, &rows[0].key).await;
    let fault = record.fault.expect("a fault");
    assert!(!fault.reason.contains("platinum"), "{fault:?}");
    assert_eq!(bed.user(second).await["fields"]["nickname"], "fine");
}

/// Deletes a user field of the account, or an option of it.
async fn delete_field(bed: &Bed, key: &str, option: Option<&str>) {
    let all = bed.world.sim.ask("GET", "user_fields.json").await;
    let field = all["user_fields"].as_array().expect("fields").iter().find(|field| field["key"] == key).expect("it");
    let options = field["custom_field_options"].as_array().cloned().unwrap_or_default();
    let path = match option {
        None => format!("user_fields/{}", field["id"]),
        Some(value) => {
            let option = options.iter().find(|option| option["value"] == value).expect("the option");
            format!("user_fields/{}/options/{}", field["id"], option["id"])
        }
    };
    bed.world.sim.ask("DELETE", &path).await;
}

#[tokio::test]
async fn a_field_is_deleted_and_an_option_removed_while_the_run_waits() {
    let bed = bed(|_| {}).await;
    let tier = |id: i64, value: &str| known(id, json!({"values": {"user_fields.tier": value}}));
    for id in &bed.users[..4] {
        let at_first = json!({"do": "update_user", "id": id, "user_fields": {"tier": "tier_bronze"}});
        bed.world.act(at_first).await;
    }
    let rows = [nickname(bed.users[0], "a"), tier(bed.users[1], "tier_gold"), tier(bed.users[2], "tier_silver")];
    let run = bed.plan(RunKind::Run, &rows).await;
    delete_field(&bed, "nickname", None).await;
    delete_field(&bed, "tier", Some("tier_gold")).await;
    bed.finish(&run).await;
    let found = states(&bed, &run).await;
    assert!(
        found[0] == "failed field_missing" && found[1].starts_with("failed ") && found[2] == "updated",
        "{found:?}"
    );
    let reason = async |row: &Row| bed.record(&run, &row.key).await.fault.expect("a fault").reason;
    assert_eq!(reason(&rows[0]).await, "Zendesk does not have this field (any more)");
    assert!(!reason(&rows[1]).await.contains("tier_gold"), "{}", reason(&rows[1]).await);
    assert_eq!(bed.user(bed.users[1]).await["fields"]["tier"], "tier_bronze");
    assert_eq!(bed.user(bed.users[2]).await["fields"]["tier"], "tier_silver");
}

#[tokio::test]
async fn a_field_is_deleted_between_two_calls() {
    let bed = Bed::new(|_| {}, |settings| settings.activation.records_per_call = 2).await;
    let rows: Vec<Row> = bed.users[..4].iter().map(|id| nickname(*id, "fine")).collect();
    let run = bed.plan(RunKind::Run, &rows).await;
    let (ctx, lease) = (bed.daemon(), bed.lease().await);
    let env = bed.env(&ctx).await.expect("an env");
    send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
    bed.pass(5).await;
    bed.world.clock.advance(std::time::Duration::from_secs(2));
    let asked = poll::ask(&ctx, &env.source, &env.client).await.expect("an answer");
    poll::poll(&ctx, &lease, &env.source, &env.client, asked).await.expect("a look");
    delete_field(&bed, "nickname", None).await;
    send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("looked at");
    bed.finish(&run).await;
    assert_eq!(states(&bed, &run).await, ["updated", "updated", "failed field_missing", "failed field_missing"]);
}

#[tokio::test]
async fn users_who_are_merged_or_deleted_while_their_job_is_queued() {
    let bed = bed(|_| {}).await;
    let [merged, winner, deleted, fine] = bed.users[..4] else { panic!("four users") };
    let rows = [nickname(merged, "a"), nickname(deleted, "b"), nickname(fine, "c")];
    let run = bed.plan(RunKind::Run, &rows).await;
    let (ctx, lease) = (bed.daemon(), bed.lease().await);
    let env = bed.env(&ctx).await.expect("an env");
    send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
    bed.world.act(json!({"do": "merge_users", "loser": merged, "winner": winner})).await;
    bed.world.act(json!({"do": "delete_user", "id": deleted})).await;
    bed.finish(&run).await;
    assert_eq!(states(&bed, &run).await, ["failed deleted", "failed deleted", "updated"]);
    let reason = bed.record(&run, &rows[0].key).await.fault.expect("a fault").reason;
    assert_eq!(reason, "the record was deleted in Zendesk, or merged into another");
    assert_eq!(bed.user(winner).await["fields"]["nickname"], Value::Null);
    assert_eq!(bed.user(fine).await["fields"]["nickname"], "c");
}

#[tokio::test]
async fn users_who_are_merged_deleted_or_agents_by_then() {
    let bed = bed(|_| {}).await;
    let [merged, winner, deleted, fine] = bed.users[..4] else { panic!("four users") };
    bed.world.act(json!({"do": "merge_users", "loser": merged, "winner": winner})).await;
    bed.world.act(json!({"do": "delete_user", "id": deleted})).await;
    let all = bed.world.sim.get("state/users?limit=1000").await["rows"].clone();
    let agent = all.as_array().expect("rows").iter().find(|user| user["role"] == "admin").expect("an admin").clone();
    let rows = [
        nickname(merged, "a"),
        nickname(deleted, "b"),
        nickname(agent["id"].as_i64().expect("an id"), "c"),
        nickname(fine, "d"),
    ];
    let run = delivered(&bed, &rows).await;
    assert_eq!(states(&bed, &run).await, ["failed deleted", "failed deleted", "failed agent", "updated"]);
    assert_eq!(bed.user(winner).await["fields"]["nickname"], Value::Null);
}

#[tokio::test]
async fn the_57th_row_of_a_hundred_is_refused() {
    let bed = bed(|_| {}).await;
    let taken = "homer@springfield.io".to_owned();
    bed.world.act(json!({"do": "create_user", "name": "Homer", "email": taken, "role": "end-user"})).await;
    let mut rows = Vec::new();
    for place in 0..100 {
        let made = json!({"do": "create_user", "name": format!("User {place}"), "role": "end-user"});
        let made = bed.world.sim.post("act", made).await;
        rows.push(nickname(made["id"].as_i64().expect("an id"), "fine"));
    }
    let id = rows[57].id.expect("an id");
    rows[57] = known(id, json!({"values": {"email": taken.clone(), "user_fields.nickname": "not"}}));
    let run = delivered(&bed, &rows).await;
    let found = states(&bed, &run).await;
    for (place, state) in found.iter().enumerate() {
        assert_eq!(state, if place == 57 { "failed duplicate_value" } else { "updated" });
    }
    let fault = bed.record(&run, &rows[57].key).await.fault.expect("a fault");
    assert!(fault.field.as_deref() == Some("email") && !fault.reason.contains(&taken), "{fault:?}");
}

#[tokio::test]
async fn results_in_another_order_with_and_without_their_places() {
    for account in [
        (|settings: &mut zendesk_sim::Settings| settings.jobs = jobs(json!({"shuffled": true}))) as fn(&mut _),
        |settings| settings.jobs = jobs(json!({"shuffled": true, "indexed": true})),
    ] {
        let bed = bed(account).await;
        let mut rows: Vec<Row> =
            bed.users[..6].iter().enumerate().map(|(place, id)| nickname(*id, &format!("n{place}"))).collect();
        for place in 0..4 {
            let values = json!({"name": "New", "user_fields.nickname": format!("m{place}")});
            rows.push(keyed(&format!("made-{place}"), json!({ "values": values })));
        }
        let run = delivered(&bed, &rows).await;
        let found = states(&bed, &run).await;
        assert!(found[..6].iter().all(|state| state == "updated"), "{found:?}");
        assert!(found[6..].iter().all(|state| state == "created"), "{found:?}");
        for (place, record) in bed.records(&run).await.iter().enumerate() {
            let id = record.record_id.as_deref().and_then(|id| id.parse().ok()).expect("an id");
            let expected = if place < 6 { format!("n{place}") } else { format!("m{}", place - 6) };
            assert_eq!(bed.user(id).await["fields"]["nickname"], expected);
        }
    }
}

fn jobs<T: serde::de::DeserializeOwned>(value: Value) -> Option<T> {
    Some(serde_json::from_value(value).expect("jobs"))
}

#[tokio::test]
async fn jobs_that_fail_whole_never_end_or_are_forgotten() {
    for (faults, minutes) in
        [(json!({"job_fail_share": 1.0}), 0), (json!({"job_stuck_share": 1.0}), 61), (json!({}), 61)]
    {
        let bed = bed(|_| {}).await;
        let rows = [nickname(bed.users[0], "a"), nickname(bed.users[1], "b")];
        let run = bed.plan(RunKind::Run, &rows).await;
        bed.world.sim.post("faults", faults.clone()).await;
        let (ctx, lease) = (bed.daemon(), bed.lease().await);
        let env = bed.env(&ctx).await.expect("an env");
        send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
        bed.world.sim.post("faults", json!({})).await;
        bed.pass(minutes * 60 + 5).await;
        bed.finish(&run).await;
        assert_eq!(states(&bed, &run).await, ["updated", "updated"], "{faults}");
        assert_eq!(bed.user(bed.users[1]).await["fields"]["nickname"], "b");
    }
}

#[tokio::test]
async fn what_is_refused_three_times_without_a_word_stays_unknown() {
    let bed = bed(|_| {}).await;
    let rows = [nickname(bed.users[0], "a")];
    let run = bed.plan(RunKind::Run, &rows).await;
    bed.world.sim.post("faults", json!({"job_fail_share": 1.0})).await;
    bed.finish(&run).await;
    let record = bed.record(&run, &rows[0].key).await;
    assert_eq!((record.state, record.tries), (RecordState::Unknown, 3));
    assert_eq!(record.fault.expect("a fault").reason, "was not applied three times");
}

#[tokio::test]
async fn too_many_jobs_and_too_large_a_call() {
    let bed = bed(|_| {}).await;
    let rows: Vec<Row> = bed.users[..8].iter().map(|id| nickname(*id, "fine")).collect();
    let busy = json!({"path": "update_many", "count": 2, "status": 429, "headers": {"retry-after": "1"},
        "body": r#"{"error":"TooManyJobs","description":"Too many jobs"}"#});
    let large = json!({"path": "update_many", "skip": 0, "count": 3, "status": 413, "body": "too large"});
    for answers in [json!([busy]), json!([large])] {
        let run = bed.plan(RunKind::Run, &rows).await;
        bed.world.sim.post("faults", json!({ "bad_answers": answers })).await;
        bed.finish(&run).await;
        bed.world.sim.post("faults", json!({})).await;
        let found = states(&bed, &run).await;
        assert!(found.iter().all(|state| state == "updated" || state == "unchanged"), "{answers} {found:?}");
    }
}

#[tokio::test]
async fn no_more_jobs_are_begun_than_others_leave() {
    let account = |settings: &mut zendesk_sim::Settings| settings.jobs = jobs(json!({"in_flight": 3}));
    let bed = Bed::new(account, |settings| {
        settings.activation.records_per_call = 1;
        settings.activation.users_per_second = 10_000;
    })
    .await;
    let other = bed.daemon();
    let other = bed.env(&other).await.expect("an env").client;
    bed.world.sim.post("faults", json!({"job_stuck_share": 1.0})).await;
    for id in &bed.users[8..10] {
        let changes = serde_json::from_value(json!({"values": {"user_fields.nickname": "theirs"}})).expect("changes");
        let item = push::Item { id: Some(id.to_string()), key: None, changes, tags: Default::default() };
        push::send(&other, push::Call::UsersUpdateMany, &[item]).await.expect("taken");
    }
    bed.world.sim.post("faults", json!({})).await;
    let rows: Vec<Row> = bed.users[..5].iter().map(|id| nickname(*id, "fine")).collect();
    let run = bed.plan(RunKind::Run, &rows).await;
    bed.world.sim.post("requests/keep", json!({"latest": 10_000})).await;
    bed.finish(&run).await;
    assert_eq!(states(&bed, &run).await, ["updated"; 5]);
    let kept = bed.world.sim.get("requests/kept").await;
    let is_call = |request: &&Value| request["path"].as_str().is_some_and(|path| path.contains("update_many"));
    let calls = kept["requests"].as_array().expect("requests").iter().filter(is_call).count();
    assert_eq!(calls, 5, "none was refused for too many jobs");
}

#[tokio::test]
async fn a_page_in_place_of_a_record_is_no_success() {
    let bed = bed(|settings| settings.jobs = jobs(json!({"bulk_import": false}))).await;
    let rows: Vec<Row> =
        (0..2).map(|place| keyed(&format!("made-{place}"), json!({"values": {"name": "New"}}))).collect();
    let run = bed.plan(RunKind::Run, &rows).await;
    let page = json!({"path": "users/create_or_update", "skip": 1, "count": 1, "body": "<html>Please wait</html>"});
    bed.world.sim.post("faults", json!({ "bad_answers": [page] })).await;
    bed.finish(&run).await;
    assert_eq!(states(&bed, &run).await, ["created", "created"]);
    let settled = bed.world.count("push_job WHERE remedy LIKE '%the answer holds no user%'").await;
    assert_eq!(settled, 1, "what became of it was read");
}

#[test]
fn a_tag_with_spaces_is_refused_in_the_file() {
    let text = "name = \"a\"\nsource = \"acme\"\ntarget = \"users\"\n[rows]\naudiences = [\"x\"]\n[[tag]]\ntag = \"very unhappy\"\n";
    let error = deskbridge::rules::activation::read::read(text).expect_err("refused").to_string();
    assert!(error.contains("tag[0].tag") && error.contains("very unhappy"), "{error}");
}

#[tokio::test]
async fn without_bulk_import_users_are_created_one_by_one() {
    let bed = bed(|settings| settings.jobs = jobs(json!({"bulk_import": false}))).await;
    let rows: Vec<Row> =
        (0..3).map(|place| keyed(&format!("made-{place}"), json!({"values": {"name": "New"}}))).collect();
    let run = delivered(&bed, &rows).await;
    assert_eq!(states(&bed, &run).await, ["created", "created", "created"]);
    let refused = bed.world.count("push_job WHERE remedy LIKE 'Data imports are not enabled%'").await;
    assert_eq!(refused, 1, "it is remembered");
}

#[tokio::test]
async fn two_rows_with_one_record_or_one_key_are_both_refused() {
    let bed = bed(|_| {}).await;
    let mut twin = nickname(bed.users[0], "b");
    twin.key = "person:other".to_owned();
    let mut shouted = keyed("MADE-1", json!({"values": {"name": "New"}}));
    shouted.key = "key:shouted".to_owned();
    let rows = [
        nickname(bed.users[0], "a"),
        twin,
        nickname(bed.users[1], "c"),
        keyed("made-1", json!({"values": {"name": "New"}})),
        shouted,
    ];
    let run = delivered(&bed, &rows).await;
    let duplicate = "failed duplicate_record";
    assert_eq!(states(&bed, &run).await, [duplicate, duplicate, "updated", duplicate, duplicate]);
    assert_eq!(bed.user(bed.users[0]).await["fields"]["nickname"], Value::Null);
}

#[tokio::test]
async fn an_external_id_in_another_case_finds_its_record_and_leaves_it() {
    let bed = bed(|_| {}).await;
    let made =
        bed.world.act(json!({"do": "create_user", "name": "Homer", "external_id": "AB-1", "role": "end-user"})).await;
    let id = made["id"].as_i64().expect("an id");
    let run = delivered(&bed, &[keyed("ab-1", json!({"values": {"user_fields.nickname": "n"}}))]).await;
    assert_eq!(states(&bed, &run).await, ["updated"]);
    let user = bed.user(id).await;
    assert_eq!((&user["external_id"], &user["fields"]["nickname"]), (&json!("AB-1"), &json!("n")));
}

#[tokio::test]
async fn an_address_of_somebody_else_creates_nobody_and_changes_nobody() {
    let bed = bed(|_| {}).await;
    let other = bed.user(bed.users[0]).await;
    let values = json!({"name": "New", "email": other["email"], "user_fields.nickname": "n"});
    let run = delivered(&bed, &[keyed("made-1", json!({ "values": values }))]).await;
    assert_eq!(states(&bed, &run).await, ["failed duplicate_value"]);
    assert_eq!(bed.user(bed.users[0]).await, other);
}

#[tokio::test]
async fn the_same_again_is_not_sent_again() {
    let bed = bed(|_| {}).await;
    let rows = || [nickname(bed.users[0], "a"), nickname(bed.users[1], "b")];
    let run = delivered(&bed, &rows()).await;
    assert_eq!(states(&bed, &run).await, ["updated", "updated"]);
    let jobs = bed.world.count("push_job").await;
    let run = delivered(&bed, &rows()).await;
    assert_eq!(states(&bed, &run).await, ["unchanged", "unchanged"]);
    assert_eq!(bed.world.count("push_job").await, jobs);
}

#[tokio::test]
async fn a_plan_is_applied_only_where_nothing_moved() {
    let bed = bed(|_| {}).await;
    let rows = [nickname(bed.users[0], "a"), nickname(bed.users[1], "b")];
    let mut run = bed.plan(RunKind::Plan, &rows).await;
    let (ctx, lease) = (bed.daemon(), bed.lease().await);
    bed.deliver(&ctx, &lease, &run).await.expect("read");
    assert_eq!(states(&bed, &run).await, ["read", "read"]);
    assert_eq!(bed.world.count("push_job").await, 0);
    let change = json!({"do": "update_user", "id": bed.users[1], "user_fields": {"nickname": "theirs"}});
    bed.world.act(change).await;
    for sql in ["UPDATE push_run SET state = 'sending'", "UPDATE push_record SET state = 'planned'"] {
        sqlx::query(sql).execute(&bed.world.ctx.pool).await.expect(sql);
    }
    run.state = deskbridge::model::push::RunState::Sending;
    bed.finish(&run).await;
    assert_eq!(states(&bed, &run).await, ["updated", "failed changed_since_plan"]);
    assert_eq!(bed.user(bed.users[1]).await["fields"]["nickname"], "theirs");
}

#[tokio::test]
async fn memberships_follow_their_users() {
    let bed = bed(|_| {}).await;
    let made = bed.world.act(json!({"do": "create_organization", "name": "Ours"})).await["id"].as_i64().expect("an id");
    let wanted = |member: bool| {
        let values = json!({"user_fields.nickname": if member { "in" } else { "out" }, "name": "New"});
        json!({"values": values, "organizations": {made.to_string(): member}})
    };
    let run = delivered(&bed, &[known(bed.users[0], wanted(true)), keyed("made-1", wanted(true))]).await;
    assert_eq!(states(&bed, &run).await, ["updated", "created"]);
    for record in bed.records(&run).await {
        let id = record.record_id.and_then(|id| id.parse().ok()).expect("an id");
        let user = bed.user(id).await;
        assert!(user["organization_ids"].as_array().expect("ids").contains(&json!(made)), "{user}");
    }
    let run = delivered(&bed, &[known(bed.users[0], wanted(false))]).await;
    let member_of = bed.user(bed.users[0]).await["organization_ids"].clone();
    let is_default = bed.user(bed.users[0]).await["organization_id"] == made;
    assert_eq!(states(&bed, &run).await, ["updated"]);
    assert!(is_default || !member_of.as_array().expect("ids").contains(&json!(made)), "{member_of}");
}
