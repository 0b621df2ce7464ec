//! Partitions of `activity` (a month each) and `raw_event` (a day each): made ahead, dropped when all in them has expired.

use super::Result;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

/// Makes the month partitions of `activity` from one time through another, where they are missing.
pub async fn ensure_months(db: &mut PgConnection, from: DateTime<Utc>, through: DateTime<Utc>) -> Result<()> {
    let mut month = first_of_month(from.date_naive());
    while month <= through.date_naive() {
        let next = month + Months::new(1);
        let name = format!("activity_{:04}_{:02}", month.year(), month.month());
        attach(db, "activity", &name, month, next).await?;
        month = next;
    }
    Ok(())
}

/// Makes the day partitions of `raw_event` from one day through another, where they are missing.
pub async fn ensure_days(db: &mut PgConnection, from: NaiveDate, through: NaiveDate) -> Result<()> {
    let mut day = from;
    while day <= through {
        let next = day + Days::new(1);
        attach(db, "raw_event", &format!("raw_event_{}", day.format("%Y_%m_%d")), day, next).await?;
        day = next;
    }
    Ok(())
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).expect("every month has a first day")
}

/// Makes one partition. Rows that fell into the default partition before it existed stay there: a range that has such
/// rows is left to the default partition. The name and the dates are made here, so the text is safe.
async fn attach(db: &mut PgConnection, table: &str, name: &str, from: NaiveDate, to: NaiveDate) -> Result<()> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(name).fetch_one(&mut *db).await?;
    if known {
        return Ok(());
    }
    let column = if table == "activity" { "occurred_at" } else { "received_on" };
    let taken =
        format!("SELECT EXISTS (SELECT 1 FROM {table}_default WHERE {column} >= '{from}' AND {column} < '{to}')");
    if sqlx::query_scalar(AssertSqlSafe(taken)).fetch_one(&mut *db).await? {
        return Ok(());
    }
    let sql = format!("CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')");
    sqlx::query(AssertSqlSafe(sql)).execute(db).await?;
    Ok(())
}

/// Month partitions of `activity` with the end of each.
pub async fn months(db: &mut PgConnection) -> Result<Vec<(String, DateTime<Utc>)>> {
    let names = partitions(db, "activity").await?;
    let end = |name: &String| {
        let (year, month) = name.strip_prefix("activity_")?.split_once('_')?;
        let first = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)?;
        Some((name.clone(), (first + Months::new(1)).and_time(chrono::NaiveTime::MIN).and_utc()))
    };
    Ok(names.iter().filter_map(end).collect())
}

/// Day partitions of `raw_event` with the day of each.
pub async fn days(db: &mut PgConnection) -> Result<Vec<(String, NaiveDate)>> {
    let names = partitions(db, "raw_event").await?;
    let day = |name: &String| {
        let text = name.strip_prefix("raw_event_")?;
        Some((name.clone(), NaiveDate::parse_from_str(text, "%Y_%m_%d").ok()?))
    };
    Ok(names.iter().filter_map(day).collect())
}

async fn partitions(db: &mut PgConnection, table: &str) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = $1::regclass ORDER BY 1",
    )
    .bind(table)
    .fetch_all(db)
    .await
}

/// Drops a partition whose rows have all expired. `name` is one of those listed here.
pub async fn drop_partition(db: &mut PgConnection, name: &str) -> Result<()> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    assert!(plain, "partition names are made of a-z, 0-9 and _");
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(db).await?;
    Ok(())
}
