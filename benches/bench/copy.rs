//! The most that Postgres could do: COPY of the very rows that a first sync wrote, into empty tables of the same make.

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Tables that hold no customer data.
const CONTROL: &str =
    "'workspace', 'source', 'checkpoint', 'job', 'run', 'schedule', 'rate_budget', '_sqlx_migrations'";

/// Rows of a first sync, in files.
pub struct Dump {
    tables: Vec<(String, PathBuf)>,
    /// Rows of all tables.
    pub rows: u64,
}

impl Dump {
    /// Writes every data table that has rows to a file.
    pub async fn write(db: &PgPool, folder: &Path) -> Result<Dump> {
        let mut tables = Vec::new();
        let mut rows = 0;
        for table in data_tables(db).await? {
            let count: i64 = query(db, &format!("SELECT count(*) FROM {table}")).await?;
            if count == 0 {
                continue;
            }
            eprintln!("    {table}: {count} rows");
            rows += count as u64;
            let path = folder.join(format!("{table}.copy"));
            let mut file = File::create(&path).await?;
            let mut db = db.acquire().await?;
            let mut stream = db.copy_out_raw(&format!("COPY {table} TO STDOUT")).await?;
            while let Some(bytes) = stream.try_next().await? {
                file.write_all(&bytes).await?;
            }
            file.flush().await?;
            tables.push((table, path));
        }
        Ok(Dump { tables, rows })
    }

    /// Copies all rows into new tables with the same columns, keys and indexes. Only the copying is timed.
    pub async fn copy(&self, db: &PgPool) -> Result<Duration> {
        execute(db, "CREATE SCHEMA copied").await?;
        for (table, _) in &self.tables {
            execute(db, &format!("CREATE TABLE copied.{table} (LIKE public.{table} INCLUDING ALL)")).await?;
        }
        execute(db, "CHECKPOINT").await?;
        let mut connection = db.acquire().await?;
        let begun = Instant::now();
        for (table, path) in &self.tables {
            copy_in(&mut connection, table, path).await.with_context(|| table.clone())?;
        }
        let took = begun.elapsed();
        execute(db, "DROP SCHEMA copied CASCADE").await?;
        Ok(took)
    }
}

async fn copy_in(db: &mut PgConnection, table: &str, path: &Path) -> Result<()> {
    let mut copy = db.copy_in_raw(&format!("COPY copied.{table} FROM STDIN")).await?;
    copy.read_from(File::open(path).await?).await?;
    copy.finish().await?;
    Ok(())
}

/// Tables of customer data, partitions on their own.
pub async fn data_tables(db: &PgPool) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
         AND relname NOT IN ({CONTROL}) ORDER BY 1"
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(db).await?)
}

/// Tuples that were written to data tables so far, as far as sessions have told: they do so once a second, or when idle
/// for ten.
pub async fn tuples_written(db: &PgPool) -> Result<i64> {
    tokio::time::sleep(Duration::from_millis(11_500)).await;
    let sql = format!(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables
         WHERE schemaname = 'public' AND relname NOT IN ({CONTROL})"
    );
    query(db, &sql).await
}

/// One number.
pub async fn query(db: &PgPool, sql: &str) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_string())).fetch_one(db).await?)
}

/// A statement without an answer.
pub async fn execute(db: &PgPool, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(db).await?;
    Ok(())
}
