//! Organizations as the target: those of the people in audiences, from the CDP to what the account has; and those that keys find.

use super::bed::{Bed, Row, keyed, known};
use super::rows::{activation, all, define_audience, page, wanted};
use super::runs::{counts, look, push};
use super::whole::{self, work};
use crate::support::{Setup, World};
use deskbridge::db::push_run::Run;
use deskbridge::model::activation::Target;
use deskbridge::model::push::{RunKind, RunState};
use deskbridge::pipeline::activate::rows::Scope;
use deskbridge::pipeline::activate::{control, manage};
use deskbridge::pipeline::audience;
use deskbridge::rules::activation::read::read;
use deskbridge::zendesk::push;
use serde_json::{Value, json};

const FILE: &str = r#"
name = "accounts"
source = "acme"
target = "organizations"
[rows]
audiences = ["vips"]
[[map]]
to = "organization_fields.vip"
audience = "vips"
entered_to = "organization_fields.vip_since"
exited_to = "organization_fields.vip_until"
[[map]]
to = "details"
template = "{{ person.name }} has {{ person['zd.seats'] }} seats"
[[map]]
to = "organization_fields.account_manager"
value = "Ada"
write = "if_empty"
[[tag]]
tag = "vip"
audience = "vips"
"#;

/// Organizations, and who belongs to them: two vips to Acme, one to Beta, somebody else to Gamma.
struct Accounts {
    world: World,
    acme: i64,
    beta: i64,
    gamma: i64,
}

impl Accounts {
    /// With this activation applied.
    async fn new(text: &str) -> Accounts {
        let world = World::synced(Setup { users: 0, tickets: 0, ..Setup::default() }).await;
        let mut made = Vec::new();
        for (name, seats) in [("Acme", 5), ("Beta", 7), ("Gamma", 9)] {
            let act = json!({"do": "create_organization", "name": name, "organization_fields": {"seats": seats}, "tags": ["theirs"]});
            made.push(world.act(act).await["id"].as_i64().expect("an id"));
        }
        let [acme, beta, gamma] = made[..] else { panic!("{made:?}") };
        for (name, organization) in [("vip.ana", acme), ("vip.bob", acme), ("vip.cy", beta), ("dan", gamma)] {
            let email = format!("{name}@x.example");
            world
                .act(json!({"do": "create_user", "name": name, "email": email, "role": "end-user", "organization_id": organization}))
                .await;
        }
        world.settle().await;
        define_audience(&world, "vips", json!({"field": "email", "contains": "vip."})).await;
        whole::apply(&world, text).await;
        let accounts = Accounts { world, acme, beta, gamma };
        work(&accounts.world).await;
        accounts
    }

    async fn organization(&self, id: i64) -> Value {
        self.world.sim.get(&format!("state/organizations?id={id}")).await
    }

    /// Its status, details and tags.
    async fn look(&self, id: i64) -> (Value, Value, Value) {
        let organization = self.organization(id).await;
        (organization["fields"]["vip"].clone(), organization["details"].clone(), organization["tags"].clone())
    }

    async fn person(&self, name: &str) -> i64 {
        let sql = "SELECT id FROM person WHERE email = $1 || '@x.example'";
        sqlx::query_scalar(sql).bind(name).fetch_one(&self.world.ctx.pool).await.expect("the person")
    }

    async fn user(&self, name: &str) -> i64 {
        let sql = "SELECT record_id::bigint FROM person_source WHERE person_id = $1";
        sqlx::query_scalar(sql).bind(self.person(name).await).fetch_one(&self.world.ctx.pool).await.expect("the record")
    }

    /// Puts somebody out of the audience, or in.
    async fn put(&self, name: &str, member: bool) {
        let person = self.person(name).await;
        audience::set_manual(&self.world.ctx, 1, "vips", person, Some(member)).await.expect("put");
        work(&self.world).await;
    }

    /// A run of a kind, to where it ends or waits: itself, and what became of its records.
    async fn run(&self, kind: RunKind) -> (Run, Vec<(String, i64)>) {
        let run = control::start(&self.world.ctx, 1, "accounts", kind).await.expect("a run");
        self.done(&run).await
    }

    async fn done(&self, run: &Run) -> (Run, Vec<(String, i64)>) {
        push(&self.world).await;
        (look(&self.world, run).await, counts(&self.world, run).await)
    }
}

fn vip(name: &str, seats: i64) -> (Value, Value, Value) {
    (json!("realized"), json!(format!("{name} has {seats} seats")), json!(["theirs", "vip"]))
}

fn told(counts: &[(&str, i64)]) -> Vec<(String, i64)> {
    counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[tokio::test]
async fn organizations_follow_their_people() {
    let accounts = Accounts::new(FILE).await;
    let (run, records) = accounts.run(RunKind::Run).await;
    assert_eq!((run.state, records), (RunState::Done, told(&[("updated", 2)])));
    assert_eq!(accounts.look(accounts.acme).await, vip("Acme", 5));
    assert_eq!(accounts.look(accounts.beta).await, vip("Beta", 7));
    assert_eq!(accounts.organization(accounts.beta).await["fields"]["vip_since"], "2026-06-15T00:00:00Z");
    assert_eq!(accounts.look(accounts.gamma).await, (Value::Null, Value::Null, json!(["theirs"])));
    // What was given is known: nothing is asked of the account, nothing sent.
    let (asked, calls) = (accounts.world.sim.get("requests").await, accounts.world.count("push_job").await);
    let (run, records) = accounts.run(RunKind::Run).await;
    assert_eq!((run.counts.looked_at, run.counts.same, records), (2, 2, vec![]));
    assert_eq!((accounts.world.sim.get("requests").await, accounts.world.count("push_job").await), (asked, calls));
    // One of two leaves, then the only one.
    accounts.put("vip.ana", false).await;
    accounts.put("vip.cy", false).await;
    let (_, records) = accounts.run(RunKind::Run).await;
    assert_eq!(records, told(&[("updated", 1)]));
    assert_eq!(accounts.look(accounts.acme).await, vip("Acme", 5));
    let (status, _, tags) = accounts.look(accounts.beta).await;
    assert_eq!((status, tags), (json!("exited"), json!(["theirs"])));
    assert_eq!(accounts.organization(accounts.beta).await["fields"]["vip_until"], "2026-06-15T00:00:00Z");
    let (run, records) = accounts.run(RunKind::Run).await;
    assert_eq!((run.counts.same, records), (2, vec![]), "an exit is delivered once");
    // The last one returns, and the organization with him.
    accounts.put("vip.cy", true).await;
    assert_eq!(accounts.run(RunKind::Run).await.1, told(&[("updated", 1)]));
    assert_eq!(accounts.look(accounts.beta).await, vip("Beta", 7));
}

#[tokio::test]
async fn one_that_is_deleted_is_left_alone() {
    let accounts = Accounts::new(FILE).await;
    accounts.run(RunKind::Run).await;
    accounts.world.act(json!({"do": "delete_organization", "id": accounts.beta})).await;
    accounts.world.settle().await;
    work(&accounts.world).await;
    assert_eq!(accounts.run(RunKind::Run).await.1, told(&[("skipped.deleted", 1)]));
    let (run, records) = accounts.run(RunKind::Run).await;
    assert_eq!((run.counts.same, records), (2, vec![]));
    assert_eq!(accounts.look(accounts.acme).await, vip("Acme", 5));
}

#[tokio::test]
async fn a_plan_is_applied_and_undone() {
    let accounts = Accounts::new(FILE).await;
    accounts.world.act(json!({"do": "update_organization", "id": accounts.acme, "details": "old"})).await;
    let before = [accounts.organization(accounts.acme).await, accounts.organization(accounts.beta).await];
    let (plan, records) = accounts.run(RunKind::Plan).await;
    assert_eq!((plan.state, plan.counts.would_change, records), (RunState::Planned, 2, told(&[("read", 2)])));
    assert_eq!(accounts.organization(accounts.acme).await, before[0], "a plan writes nothing");
    // Somebody writes there before it is applied.
    accounts.world.act(json!({"do": "update_organization", "id": accounts.beta, "details": "new"})).await;
    control::apply(&accounts.world.ctx, 1, plan.id).await.expect("applied");
    let (_, records) = accounts.done(&plan).await;
    assert_eq!(records, told(&[("failed.changed_since_plan", 1), ("updated", 1)]));
    assert_eq!(accounts.look(accounts.acme).await, vip("Acme", 5));
    // What somebody changed since stays theirs when the rest is given back.
    accounts
        .world
        .act(
            json!({"do": "update_organization", "id": accounts.acme, "organization_fields": {"account_manager": "Bo"}}),
        )
        .await;
    let undo = control::undo(&accounts.world.ctx, 1, plan.id).await.expect("an undoing");
    let (undo, records) = accounts.done(&undo).await;
    assert_eq!((undo.state, records), (RunState::Done, told(&[("updated", 1)])));
    let mut expected = before[0].clone();
    expected["fields"] = accounts.organization(accounts.acme).await["fields"].clone();
    expected["updated_at"] = accounts.organization(accounts.acme).await["updated_at"].clone();
    assert_eq!(accounts.organization(accounts.acme).await, expected);
    assert_eq!((&expected["fields"]["vip"], &expected["fields"]["account_manager"]), (&Value::Null, &json!("Bo")));
}

#[tokio::test]
async fn whatever_changes_is_delivered_without_being_told() {
    let accounts = Accounts::new(&FILE.replace("[rows]", "[when]\nalways = true\n[rows]")).await;
    let world = &accounts.world;
    whole::settle(world).await;
    assert_eq!(accounts.look(accounts.beta).await, vip("Beta", 7));
    // The organization itself.
    world.act(json!({"do": "update_organization", "id": accounts.beta, "organization_fields": {"seats": 70}})).await;
    whole::settle(world).await;
    assert_eq!(accounts.look(accounts.beta).await, vip("Beta", 70));
    // The last of its people goes to another one.
    let user = accounts.user("vip.cy").await;
    world.act(json!({"do": "update_user", "id": user, "organization_id": accounts.gamma})).await;
    whole::settle(world).await;
    let (status, _, tags) = accounts.look(accounts.beta).await;
    assert_eq!((status, tags), (json!("exited"), json!(["theirs"])));
    assert_eq!(accounts.look(accounts.gamma).await, vip("Gamma", 9));
    // The last one is deleted in Zendesk: still somebody here, and nobody's there.
    world.act(json!({"do": "delete_user", "id": user})).await;
    whole::settle(world).await;
    assert_eq!(accounts.look(accounts.gamma).await.0, json!("exited"));
    // One leaves the audience, then the other: the last one counts.
    accounts.put("vip.ana", false).await;
    whole::settle(world).await;
    assert_eq!(accounts.look(accounts.acme).await, vip("Acme", 5));
    accounts.put("vip.bob", false).await;
    whole::settle(world).await;
    assert_eq!(accounts.look(accounts.acme).await.0, json!("exited"));
    // A full run finds nothing left to do.
    assert_eq!(accounts.run(RunKind::Run).await.1, vec![]);
    assert_eq!(world.count("push_record WHERE state NOT IN ('updated', 'unchanged')").await, 0);
}

#[tokio::test]
async fn a_single_one_is_sent_by_the_key_of_its_row() {
    let accounts = Accounts::new(FILE).await;
    let id: i64 = accounts.world.value("SELECT id FROM organization WHERE name = 'Beta'").await;
    let test = control::test(&accounts.world.ctx, 1, "accounts", &format!("organization:{id}")).await.expect("a test");
    assert_eq!(accounts.done(&test).await.1, told(&[("updated", 1)]));
    assert_eq!(accounts.look(accounts.beta).await, vip("Beta", 7));
    assert_eq!(accounts.look(accounts.acme).await.0, Value::Null);
}

#[tokio::test]
async fn rows_are_the_same_in_pages_of_any_size() {
    let accounts = Accounts::new(FILE).await;
    let (world, acme) = (&accounts.world, accounts.acme.to_string());
    accounts.put("vip.cy", false).await;
    let env = activation(world, &FILE.replace("\"accounts\"", "\"again\"")).await;
    let rows = all(world, &env, 1_000).await;
    let stay = json!({"organization_fields.vip": "exited", "organization_fields.vip_since": "2026-06-15",
        "organization_fields.vip_until": "2026-06-15"});
    assert_eq!((rows.len(), rows[0].record_id.as_deref()), (2, Some(acme.as_str())));
    assert_eq!(rows[0].wanted.as_ref().expect("wanted").values["details"], "Acme has 5 seats");
    assert_eq!(wanted(&rows[1]), json!({ "values": stay }));
    for limit in [1, 2] {
        assert_eq!(all(world, &env, limit).await, rows, "in pages of {limit}");
    }
    let of = async |name: &str| {
        let people = [accounts.person(name).await];
        page(world, &env, Scope::People(&people), None, 10).await.rows
    };
    assert_eq!((of("vip.bob").await, of("vip.cy").await), (rows[..1].to_vec(), rows[1..].to_vec()));
    assert_eq!(of("dan").await, []);
    let keys = [rows[1].row_key.clone(), "person:1".into(), "organization:0".into(), "organization:x".into()];
    assert_eq!(page(world, &env, Scope::Keys(&keys), None, 10).await.rows, rows[1..]);
}

#[tokio::test]
async fn a_query_names_them_by_their_numbers() {
    let rows = r#"query = """
SELECT id AS organization_id, name || '!' AS label FROM organization WHERE fields ->> 'zd.seats' <> '70'
UNION ALL SELECT 1000000, 'nobody'
"""
key = "organization_id"
"#;
    let maps =
        "[[map]]\nto = \"details\"\ntemplate = \"{{ row.label }} {{ person['zd.seats'] }}\"\n[[tag]]\ntag = \"vip\"\n";
    let head = "name = \"accounts\"\nsource = \"acme\"\ntarget = \"organizations\"\n[rows]\n";
    let accounts = Accounts::new(&format!("{head}{rows}{maps}")).await;
    assert_eq!(accounts.run(RunKind::Run).await.1, told(&[("failed.no_organization", 1), ("updated", 3)]));
    let wears = (Value::Null, json!("Beta! 7"), json!(["theirs", "vip"]));
    assert_eq!(accounts.look(accounts.beta).await, wears);
    assert_eq!(accounts.run(RunKind::Run).await.0.counts.same, 3);
    // Which the query gives no more loses its tag, and which is deleted is left alone.
    let act = json!({"do": "update_organization", "id": accounts.beta, "organization_fields": {"seats": 70}});
    accounts.world.act(act).await;
    accounts.world.act(json!({"do": "delete_organization", "id": accounts.gamma})).await;
    accounts.world.settle().await;
    let expected = [("failed.no_organization", 1), ("skipped.deleted", 1), ("updated", 1)];
    assert_eq!(accounts.run(RunKind::Run).await.1, told(&expected));
    assert_eq!(accounts.look(accounts.beta).await, (Value::Null, json!("Beta! 7"), json!(["theirs"])));
}

#[tokio::test]
async fn fields_are_looked_at_and_made() {
    let world = World::synced(Setup { users: 3, tickets: 0, ..Setup::default() }).await;
    define_audience(&world, "vips", json!({"all": []})).await;
    let activation = read(FILE).expect("a definition");
    let refused = manage::prepare(&world.ctx, 1, &activation, false).await.expect_err("fields are missing").to_string();
    assert!(refused.contains("organization_fields.vip_since"), "{refused}");
    let made = manage::prepare(&world.ctx, 1, &activation, true).await.expect("made").created;
    let expected =
        ["vip (dropdown)", "vip_since (date)", "vip_until (date)"].map(|made| format!("organization_fields.{made}"));
    assert_eq!(made, expected);
    manage::apply(&world.ctx, 1, &activation).await.expect("applied");
    let client = world.ctx.client(&world.source().await).expect("a client");
    let fields = push::fields(&client, Target::Organizations).await.expect("fields");
    let field = fields.iter().find(|field| field.name == "organization_fields.vip").expect("the field");
    assert_eq!((field.kind.as_str(), field.options.join(" ").as_str()), ("dropdown", "realized exited"));
    let bad = read(&FILE.replace("account_manager", "seats")).expect("a definition");
    let refused = manage::prepare(&world.ctx, 1, &bad, true).await.expect_err("no number").to_string();
    assert!(refused.contains("organization_fields.seats"), "{refused}");
}

/// A bed of organizations that are found by this key.
async fn bed(by: &str) -> Bed {
    let mut bed = Bed::new(|_| {}, |settings| settings.activation.users_per_second = 10_000).await;
    let create = !by.contains('.');
    bed.activation = read(&format!(
        r#"
        name = "bed"
        source = "acme"
        target = "organizations"
        [rows]
        query = "SELECT 1 AS k"
        key = "k"
        [key]
        by = "{by}"
        create = {create}
        [[map]]
        to = "name"
        from = "column.name"
        [[map]]
        to = "external_id"
        from = "column.number"
        [[map]]
        to = "notes"
        from = "column.notes"
        [[tag]]
        tag = "ours"
        "#
    ))
    .expect("an activation");
    bed
}

async fn organization(bed: &Bed, act: Value) -> i64 {
    let mut given = json!({"do": "create_organization"});
    given.as_object_mut().expect("an object").extend(act.as_object().expect("an object").clone());
    bed.world.act(given).await["id"].as_i64().expect("an id")
}

/// What became of rows: state, class and field of the fault, call.
async fn delivered(bed: &Bed, rows: &[Row]) -> Vec<String> {
    let run = bed.plan(RunKind::Run, rows).await;
    bed.finish(&run).await;
    let mut told = Vec::new();
    for record in bed.records(&run).await {
        let fault = record.fault.map(|fault| format!(" {} {}", fault.class, fault.field.unwrap_or_default()));
        told.push(format!("{}{}", record.state.as_str(), fault.unwrap_or_default()).trim().to_owned());
    }
    told
}

async fn calls(bed: &Bed) -> Vec<String> {
    let sql = "SELECT DISTINCT call FROM push_job ORDER BY call";
    sqlx::query_scalar(sql).fetch_all(&bed.world.ctx.pool).await.expect("calls")
}

#[tokio::test]
async fn one_is_created_by_its_external_id_and_never_with_a_name_of_another() {
    let bed = bed("external_id").await;
    let there = organization(&bed, json!({"name": "There", "external_id": "C-1"})).await;
    organization(&bed, json!({"name": "Taken"})).await;
    let wants = |name: &str| json!({"values": {"name": name, "notes": "n"}, "tags": {"ours": true}});
    let rows = [
        keyed("c-1", wants("There")),
        keyed("C-2", wants("New")),
        keyed("C-3", wants("TAKEN")),
        keyed("C-4", wants("Twice")),
        keyed("C-5", wants("twice")),
    ];
    let found = delivered(&bed, &rows).await;
    assert_eq!(found[..3], ["updated", "created", "failed duplicate_value name"]);
    let mut last = found[3..].to_vec();
    last.sort();
    assert_eq!(last, ["created", "failed duplicate_value name"], "one of two has the name");
    assert_eq!(calls(&bed).await, ["organization_create_or_update", "organizations_update_many"]);
    let there = bed.world.sim.get(&format!("state/organizations?id={there}")).await;
    assert_eq!(
        (&there["notes"], &there["tags"], &there["external_id"]),
        (&json!("n"), &json!(["ours"]), &json!("C-1"))
    );
    // The same again finds all of them and writes nothing.
    let before = bed.world.count("push_job").await;
    assert_eq!(delivered(&bed, &rows[..2]).await, ["unchanged", "unchanged"]);
    assert_eq!(bed.world.count("push_job").await, before);
}

#[tokio::test]
async fn one_is_created_by_its_name() {
    let bed = bed("email").await;
    organization(&bed, json!({"name": "There"})).await;
    organization(&bed, json!({"name": "Other", "external_id": "C-1"})).await;
    let wants = |number: &str| json!({"values": {"external_id": number, "notes": "n"}, "tags": {"ours": true}});
    let rows = [keyed("there", wants("C-9")), keyed("New & Sons", wants("C-2")), keyed("Third", wants("c-1"))];
    assert_eq!(delivered(&bed, &rows).await, ["updated", "created", "failed duplicate_value external_id"]);
    assert_eq!(calls(&bed).await, ["organizations_create_many", "organizations_update_many"]);
    // An answer that is lost is settled by reading, not by sending again.
    let run = bed.plan(RunKind::Run, &[keyed("Fourth", wants("C-4"))]).await;
    bed.world.sim.post("faults", json!({"job_stuck_share": 1.0})).await;
    let (ctx, lease) = (bed.daemon(), bed.lease().await);
    bed.attended(bed.deliver(&ctx, &lease, &run)).await.expect("sent");
    bed.world.sim.post("faults", json!({})).await;
    organization(&bed, json!({"name": "Fourth", "external_id": "C-4", "notes": "n", "tags": ["ours"]})).await;
    bed.pass(61 * 60).await;
    bed.finish(&run).await;
    assert_eq!(bed.record(&run, "key:Fourth").await.state.as_str(), "created");
    let named = bed.world.sim.get("state/organizations?limit=1000").await["rows"].clone();
    let named = named.as_array().expect("rows").iter().filter(|row| row["name"] == "Fourth").count();
    assert_eq!(named, 1);
}

#[tokio::test]
async fn several_with_a_value_are_for_review_and_what_is_refused_says_why() {
    let bed = bed("organization_fields.account_manager").await;
    let fields = |name: &str, manager: &str| json!({"name": name, "organization_fields": {"account_manager": manager}});
    organization(&bed, fields("One", "Ada")).await;
    organization(&bed, fields("Two", "Ada")).await;
    let three = organization(&bed, fields("Three", "Bo")).await;
    let gone = organization(&bed, json!({"name": "Four"})).await;
    let rows = [
        keyed("Ada", json!({"values": {"notes": "n"}})),
        keyed("Bo", json!({"values": {"notes": "n"}})),
        keyed("Cy", json!({"values": {"notes": "n"}})),
        known(gone, json!({"values": {"name": "one"}})),
    ];
    let expected = ["failed ambiguous", "updated", "skipped not_in_zendesk", "failed duplicate_value name"];
    assert_eq!(delivered(&bed, &rows).await, expected);
    assert_eq!(bed.world.sim.get(&format!("state/organizations?id={three}")).await["notes"], "n");
    // Deleted while the call is under way.
    let run = bed.plan(RunKind::Run, &[known(gone, json!({"values": {"notes": "n"}}))]).await;
    let (ctx, lease) = (bed.daemon(), bed.lease().await);
    let env = bed.env(&ctx).await.expect("an env");
    deskbridge::pipeline::activate::send::chunk(&ctx, &lease, &env, &run, &mut None).await.expect("sent");
    bed.world.sim.post("act", json!({"do": "delete_organization", "id": gone})).await;
    bed.finish(&run).await;
    assert_eq!(bed.record(&run, &format!("person:{gone}")).await.fault.expect("a fault").class, "deleted");
}
