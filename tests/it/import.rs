//! Files into the CDP, on real Postgres.

use crate::support::{START, database, settings};
use deskbridge::clock::Clock;
use deskbridge::model::person::IdentityKind;
use deskbridge::model::source::{FindStrategy, MergeStrategy};
use deskbridge::pipeline::context::Context;
use deskbridge::pipeline::import::mapping::Mapping;
use deskbridge::pipeline::import::record::Reading;
use deskbridge::pipeline::import::rows::{Fault, Format, How};
use deskbridge::pipeline::import::{self, ImportError, Plan, Step, Summary, Watcher, Wishes};
use deskbridge::pipeline::person;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A database without any source, and files to import into it.
struct Desk {
    ctx: Context,
    clock: Clock,
}

#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Watcher for Ear {
    fn fault(&self, fault: &Fault) {
        self.0.lock().unwrap().push(format!("{} {}", fault.line, fault.column));
    }

    fn progress(&self, _: Step, _: u64, _: u64) {}
}

fn wishes(merge: MergeStrategy) -> Wishes {
    Wishes { name: "shop".into(), merge: Some(merge), ..Wishes::default() }
}

fn file(text: &str, extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("deskbridge-import-{}-{}.{extension}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Imports a text. Answers what came of it, and the faults.
async fn read_in(
    ctx: &Context,
    text: &str,
    wishes: &Wishes,
    dry_run: bool,
) -> Result<(Summary, Vec<String>), ImportError> {
    let format = if text.starts_with('{') { Format::Ndjson } else { Format::Csv };
    let settings = import::prepare(ctx, wishes).await?;
    let path = file(text, "x");
    let how = How { format, mapping: Mapping::default(), key: None, clear_empty: false };
    let reading =
        Reading { identifiers: settings.identifiers, region: None, blocked: Vec::new(), message_bytes: Some(1000) };
    let (plan, ear) = (Arc::new(Plan { path: path.clone(), how, reading }), Arc::new(Ear::default()));
    let checked = Arc::new(import::check(&plan, ear.as_ref())?);
    let summary = import::apply(ctx, wishes, plan, checked, ear.clone(), dry_run).await;
    std::fs::remove_file(path).unwrap();
    let heard = ear.0.lock().unwrap().clone();
    Ok((summary?, heard))
}

/// Has another source say this of people.
pub async fn told(ctx: &Context, text: &str) {
    let (_, faults) = read_in(ctx, text, &wishes(MergeStrategy::Overwrite), false).await.expect("an import");
    assert_eq!(faults, Vec::<String>::new());
}

impl Desk {
    async fn new() -> Desk {
        let clock = Clock::manual(START.parse().unwrap());
        let ctx = deskbridge::app::context(settings(&database(), "http://127.0.0.1:1"), clock.clone()).unwrap();
        deskbridge::app::prepare(&ctx).await.unwrap();
        Desk { ctx, clock }
    }

    async fn try_import(
        &self,
        text: &str,
        wishes: &Wishes,
        dry_run: bool,
    ) -> Result<(Summary, Vec<String>), ImportError> {
        read_in(&self.ctx, text, wishes, dry_run).await
    }

    async fn import(&self, text: &str, wishes: &Wishes) -> Summary {
        self.try_import(text, wishes, false).await.expect("an import").0
    }

    /// The only value of a query, as text.
    async fn value(&self, sql: &'static str) -> String {
        let value: Option<String> = sqlx::query_scalar(sql).fetch_one(&self.ctx.pool).await.expect(sql);
        value.unwrap_or_default()
    }

    async fn check(&self, sql: &'static str, expected: &str) {
        assert_eq!(self.value(sql).await, expected, "{sql}");
    }

    /// Where every tuple lies and which transaction wrote it: the same as long as nothing is written.
    async fn tuples_written(&self) -> String {
        self.value(
            "SELECT string_agg(concat(t, n), ' ' ORDER BY t) FROM (
                 SELECT t, sum(hashtextextended(x::text || c::text, 0)) n FROM (
                     SELECT 'person' t, xmin x, ctid c FROM person UNION ALL
                     SELECT 'person_source', xmin, ctid FROM person_source UNION ALL
                     SELECT 'identity', xmin, ctid FROM identity UNION ALL
                     SELECT 'organization', xmin, ctid FROM organization UNION ALL
                     SELECT 'activity', xmin, ctid FROM activity UNION ALL
                     SELECT 'activity_rollup', xmin, ctid FROM activity_rollup UNION ALL
                     SELECT 'consent_event', xmin, ctid FROM consent_event UNION ALL
                     SELECT 'consent_wording', xmin, ctid FROM consent_wording UNION ALL
                     SELECT 'source', xmin, ctid FROM source) tuples GROUP BY t) sums",
        )
        .await
    }
}

const SHOP: &str = r#"{"email":"Homer@Simpson.test","name":"Homer Simpson","external_id":"H1","plan":"gold","seats":3,"organization":{"name":"Nuclear Plant","domain":"plant.test"},"consent":{"email":{"action":"grant","at":"2026-01-02","wording":"News, please"},"sms":"deny"},"activities":[{"type":"order.paid","occurred_at":"2026-06-01T10:00:00Z","total":9,"message":"Donuts"},{"type":"order.paid","occurred_at":"2020-01-01"}]}
{"email":"marge@simpson.test","first_name":"Marge","organization":"Nuclear Plant","consent":{"email":"grant"}}
{"phone":"+1 650 253 0000","name":"Bart"}
{"email":"nobody"}
[1]
"#;

#[tokio::test]
async fn a_file_and_the_same_again() {
    let desk = Desk::new().await;
    let (first, heard) = desk.try_import(SHOP, &wishes(MergeStrategy::Append), false).await.unwrap();
    assert_eq!(heard, ["4 ", "5 "]);
    assert_eq!(
        (first.rows, first.created, first.bad, first.organizations, first.activities, first.expired),
        (5, 3, 2, 1, 1, 1)
    );
    desk.check("SELECT concat_ws('|', first_name, last_name, email, external_id, fields, email_consent, sms_consent) FROM person WHERE external_id = 'H1'",
        "Homer|Simpson|Homer@Simpson.test|H1|{\"plan\": \"gold\", \"seats\": 3}|granted|denied").await;
    desk.check("SELECT string_agg(concat_ws('|', o.name, o.domains), ',') FROM organization_member m JOIN organization o ON o.id = m.organization_id",
        "Nuclear Plant|{plant.test},Nuclear Plant|{plant.test}").await;
    desk.check(
        "SELECT concat_ws('|', type, attributes, message, origin) FROM activity",
        "order.paid|{\"total\": 9}|Donuts|3",
    )
    .await;
    desk.check("SELECT string_agg(concat_ws('|', action, evidence, actor, wording), ',' ORDER BY action, evidence, e.id) FROM consent_event e LEFT JOIN consent_wording w ON w.id = e.wording_id WHERE occurred_at < '2026-02-01'",
        "grant|single_grant|shop|News, please").await;
    desk.check(
        "SELECT concat_ws('|', kind, outcome, counts ->> 'people_created', counts ->> 'read') FROM run",
        "import|ok|3|5",
    )
    .await;
    desk.check(
        "SELECT concat_ws('|', kind, state, settings ->> 'merge', settings -> 'identifiers') FROM source",
        "import|connected|append|[\"email\", \"external_id\"]",
    )
    .await;
    let before = desk.tuples_written().await;
    desk.clock.advance(std::time::Duration::from_secs(3600));
    let again = desk.import(SHOP, &wishes(MergeStrategy::Append)).await;
    assert_eq!((again.created, again.updated, again.unchanged, again.activities), (0, 0, 3, 0));
    assert_eq!(desk.tuples_written().await, before);
}

#[tokio::test]
async fn merge_strategies_r28() {
    let desk = Desk::new().await;
    let old = "email,first_name,plan\nhomer@simpson.test,Homer,\n";
    let new =
        r#"{"email":"homer@simpson.test","first_name":"Max","last_name":"Power","plan":"gold","external_id":"H1"}"#;
    desk.import(old, &Wishes { name: "crm".into(), ..wishes(MergeStrategy::Append) }).await;
    let shown = "SELECT concat_ws('|', first_name, last_name, fields, external_id) FROM person";
    let ignored = desk.import(new, &wishes(MergeStrategy::Ignore)).await;
    desk.check(shown, "Homer|{}").await;
    desk.check("SELECT count(*)::text FROM identity", "1").await;
    assert_eq!((ignored.created, ignored.updated, ignored.unchanged), (0, 0, 1));
    desk.import(new, &wishes(MergeStrategy::Append)).await;
    desk.check(shown, "Homer|Power|{\"plan\": \"gold\"}|H1").await;
    let overwritten = desk.import(new, &wishes(MergeStrategy::Overwrite)).await;
    assert_eq!((overwritten.updated, overwritten.unchanged), (1, 0));
    desk.check(shown, "Max|Power|{\"plan\": \"gold\"}|H1").await;
    desk.import(r#"{"external_id":"h1","plan":null,"last_name":null}"#, &wishes(MergeStrategy::Overwrite)).await;
    desk.check(shown, "Max|{}|h1").await;
    let left_out = Wishes { create_people: Some(false), ..wishes(MergeStrategy::Overwrite) };
    assert_eq!(desk.import(r#"{"email":"new@simpson.test"}"#, &left_out).await.skipped, 1);
    desk.check("SELECT count(*)::text FROM person", "1").await;
    desk.check(
        "SELECT string_agg(concat_ws('|', kind, value), ',' ORDER BY kind) FROM identity",
        "email|homer@simpson.test,external_id|h1",
    )
    .await;
}

#[tokio::test]
async fn find_strategies_r27() {
    let desk = Desk::new().await;
    let crm = Wishes { name: "crm".into(), ..wishes(MergeStrategy::Append) };
    desk.import("external_id,email\na,one@x.test\n,two@x.test\n", &crm).await;
    let row = "external_id,email\nb,one@x.test\n";
    let all = Wishes { find: Some(FindStrategy::All), create_people: Some(false), ..wishes(MergeStrategy::Append) };
    assert_eq!(desk.import(row, &all).await.skipped, 1);
    let next = Wishes { find: Some(FindStrategy::NextOnlyIfPreviousEmpty), ..all.clone() };
    assert_eq!(desk.import(row, &next).await.skipped, 1);
    assert_eq!(desk.import("external_id,email\nb,two@x.test\n", &next).await.updated, 1);
    let phones = Wishes {
        identifiers: Some(vec![IdentityKind::Phone]),
        create_people: Some(true),
        ..wishes(MergeStrategy::Append)
    };
    desk.import("phone,name\n+16502530000,Lisa\n", &phones).await;
    desk.check("SELECT value FROM identity WHERE kind = 'phone'", "+16502530000").await;
}

#[tokio::test]
async fn consents_are_said_once_and_a_no_stays_c2() {
    let desk = Desk::new().await;
    let state = "SELECT email_consent || ' ' || (SELECT count(*) FROM consent_event) FROM person";
    let overwrite = wishes(MergeStrategy::Overwrite);
    desk.import("email,consent.email,a\nh@x.test,grant,1\n", &overwrite).await;
    desk.check(state, "granted 1").await;
    desk.import("email,consent.email,a\nh@x.test,grant,2\n", &overwrite).await;
    desk.check(state, "granted 1").await;
    desk.clock.advance(std::time::Duration::from_secs(3600));
    desk.import("email,consent.email\nh@x.test,deny\n", &wishes(MergeStrategy::Ignore)).await;
    desk.check(state, "denied 2").await;
    desk.import("email,consent.email,a\nh@x.test,grant,3\n", &overwrite).await;
    desk.check(state, "denied 2").await;
    desk.import("email,consent.email,consent.email.at\nh@x.test,grant,2026-07-01\n", &overwrite).await;
    desk.check(state, "granted 3").await;
    desk.import("email,consent.email,consent.email.at\nh@x.test,withdraw,2026-07-02\n", &overwrite).await;
    desk.import("email,consent.email,consent.email.at\nh@x.test,grant,2026-07-03\n", &overwrite).await;
    desk.check(state, "withdrawn 5").await;
}

#[tokio::test]
async fn rows_of_the_same_record() {
    let desk = Desk::new().await;
    let mut text = "email,plan,activity.type,activity.occurred_at\n".to_owned();
    text += "h@x.test,basic,login,2026-06-01\n";
    text += &(0..2500).map(|n| format!("u{n}@x.test,,,\n")).collect::<String>();
    text += "h@x.test,gold,login,2026-06-02\nh@x.test,gold,login,2026-06-03\n";
    let (first, heard) = desk.try_import(&text, &wishes(MergeStrategy::Overwrite), false).await.unwrap();
    assert_eq!((first.created, first.duplicates, first.activities, heard), (2501, 1, 3, vec!["2 ".to_owned()]));
    desk.check("SELECT fields::text FROM person WHERE email = 'h@x.test'", "{\"plan\": \"gold\"}").await;
    desk.check("SELECT total::text FROM activity_rollup", "3").await;
    let before = desk.tuples_written().await;
    let again = desk.import(&text, &wishes(MergeStrategy::Overwrite)).await;
    assert_eq!((again.updated, again.unchanged, again.activities), (0, 2501, 0));
    assert_eq!(desk.tuples_written().await, before);
}

#[tokio::test]
async fn a_file_takes_nothing_away_that_it_does_not_mention() {
    let desk = Desk::new().await;
    desk.import("external_id,email,organization\n1,h@x.test,Plant\n", &wishes(MergeStrategy::Overwrite)).await;
    desk.import("external_id,plan\n1,gold\n", &wishes(MergeStrategy::Overwrite)).await;
    desk.check("SELECT count(*)::text FROM identity", "2").await;
    desk.check("SELECT count(*)::text FROM organization_member", "1").await;
    // The field stays, since only empty ones are filled, and so does what finds the person by it.
    desk.import("external_id,email\n1,new@x.test\n", &wishes(MergeStrategy::Append)).await;
    desk.check(
        "SELECT string_agg(value, ',' ORDER BY value) FROM identity WHERE kind = 'email'",
        "h@x.test,new@x.test",
    )
    .await;
    desk.import("external_id,email\n1,other@x.test\n", &wishes(MergeStrategy::Overwrite)).await;
    desk.check("SELECT string_agg(value, ',' ORDER BY value) FROM identity WHERE kind = 'email'", "other@x.test").await;
}

#[tokio::test]
async fn a_dry_run_keeps_nothing_and_the_deleted_stay_away() {
    let desk = Desk::new().await;
    let (dry, _) = desk.try_import(SHOP, &wishes(MergeStrategy::Append), true).await.unwrap();
    assert_eq!((dry.dry_run, dry.created, dry.activities), (true, 3, 1));
    desk.check(
        "SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM source) + (SELECT count(*) FROM run) || ''",
        "0",
    )
    .await;
    desk.import(SHOP, &wishes(MergeStrategy::Append)).await;
    let id: i64 =
        sqlx::query_scalar("SELECT id FROM person WHERE external_id = 'H1'").fetch_one(&desk.ctx.pool).await.unwrap();
    person::delete(&desk.ctx, 1, &[id], "asked for it").await.unwrap();
    let again = desk.import(SHOP, &wishes(MergeStrategy::Append)).await;
    assert_eq!((again.created, again.skipped, again.activities), (0, 1, 0));
    let other = Wishes { name: "crm".into(), ..wishes(MergeStrategy::Append) };
    assert_eq!(desk.import("email\nhomer@simpson.test\n", &other).await.skipped, 1);
}

#[tokio::test]
async fn names_of_sources() {
    let desk = Desk::new().await;
    let named = |name: &str| Wishes { name: name.into(), ..wishes(MergeStrategy::Append) };
    assert!(matches!(desk.try_import("email\n", &named("The Shop"), false).await, Err(ImportError::Name(_))));
    sqlx::query("INSERT INTO source (workspace_id, name, kind, title, state, created_at, updated_at) VALUES (1, 'acme', 'zendesk', 'Acme', 'connected', now(), now())")
        .execute(&desk.ctx.pool).await.unwrap();
    assert!(matches!(desk.try_import("email\n", &named("acme"), false).await, Err(ImportError::Source { .. })));
    assert_eq!(desk.import("email\n", &named("shop")).await.rows, 0);
}
