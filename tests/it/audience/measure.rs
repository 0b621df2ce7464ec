//! How long everybody takes. Run by hand: `DESKBRIDGE_PEOPLE=1000000 cargo test --release --test it audience::measure -- --ignored --nocapture`;
//! each person has twenty activities.

use crate::support;
use deskbridge::db::audience_find::find;
use deskbridge::db::pool::PoolOptions;
use deskbridge::model::filter::Moment;
use deskbridge::rules::filter::read;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};

const NOW: &str = "2026-03-31T12:00:00Z";

async fn fill(db: &mut PgConnection, people: i64) {
    let statements = [
        format!(
            "INSERT INTO person (workspace_id, id, first_name, email, fields, email_consent, sms_consent, created_at, updated_at,
                 created_source_id, created_record)
             SELECT 1, n, 'Name' || n % 100, 'p' || n || '@x.io', jsonb_build_object('zd.tier', CASE n % 3 WHEN 0 THEN 'gold' ELSE 'tin' END,
                 'zd.seats', n % 50), 'granted', 'unknown', '{NOW}', '{NOW}', 1, n::text FROM generate_series(1, {people}) n"
        ),
        format!(
            "INSERT INTO activity (workspace_id, occurred_at, id, person_id, original_person_id, source_id, type, attributes, origin, recorded_at)
             SELECT 1, '{NOW}'::timestamptz - (n * 7919 % 7776000) * interval '1 second', gen_random_uuid(), n % {people} + 1, n % {people} + 1, 1,
                 (ARRAY['zd.ticket.created', 'zd.ticket.comment_added', 'zd.ticket.solved', 'zd.satisfaction.rated'])[n / {people} % 4 + 1],
                 '{{}}', 1, '{NOW}' FROM generate_series(1::bigint, {people} * 20) n"
        ),
    ];
    // Indexes are made after the rows, which is faster; of all partitions at once.
    let made: Vec<String> = sqlx::query_scalar(
        "SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') FROM pg_index i WHERE i.indrelid = 'activity'::regclass AND NOT i.indisprimary",
    )
    .fetch_all(&mut *db)
    .await
    .expect("indexes");
    let indexes = ["DROP INDEX activity_person, activity_ticket, activity_type".to_owned()];
    let statements = indexes.into_iter().chain(statements).chain(made).chain(["VACUUM ANALYZE".to_owned()]);
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *db).await.expect("filled");
    }
}

fn options() -> PoolOptions {
    let hour = Duration::from_secs(3600);
    PoolOptions { max_connections: 1, acquire_timeout: hour, statement_timeout: hour, lock_timeout: hour }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn everybody_is_asked() {
    let people = std::env::var("DESKBRIDGE_PEOPLE").ok().and_then(|people| people.parse().ok()).unwrap_or(20_000);
    let now = NOW.parse().expect("a time");
    // As the daemon connects. A database that was filled before need not be filled again.
    let filled = std::env::var("DESKBRIDGE_FILLED").ok();
    let url = filled.clone().unwrap_or_else(support::database);
    let pool = deskbridge::db::pool::lazy(&url, &options()).expect("a pool");
    let mut db = pool.acquire().await.expect("the database answers");
    if filled.is_none() {
        let (before, after) = (now - chrono::Months::new(4), now + chrono::Months::new(1));
        deskbridge::db::partition::ensure_months(&mut db, before, after).await.expect("partitions");
        fill(&mut db, people).await;
    }
    let filter = read(&json!({"all": [
        {"field": "zd.tier", "is": "gold"},
        {"field": "zd.seats", "greater_than": 10},
        {"field": "email", "contains": "@x"},
        {"activity": "zd.ticket.created", "count": ">= 2", "within": "30 days"},
        {"activity": "zd.satisfaction.rated", "count": 0, "within": "14 days"},
    ]}));
    let filter = filter.expect("a filter");
    for _ in 0..7 {
        let started = Instant::now();
        let moment = Moment { now, zone: chrono_tz::Tz::UTC };
        let found = find(&mut db, 1, &filter, moment).await.expect("found").len();
        eprintln!("{found} of {people} people in {} ms", started.elapsed().as_millis());
    }
}
