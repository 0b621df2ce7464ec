//! The pool of connections: session guards, migrations, and the checks made before anything is served.

use super::Result;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool, Row};
use std::time::Duration;

/// All migrations, in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How to connect.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Most connections at a time.
    pub max_connections: u32,
    /// How long a caller waits for one.
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long one statement may wait for a lock.
    pub lock_timeout: Duration,
}

/// A pool whose sessions cannot hang for ever: timeouts for statements, locks and idle transactions, and UTC.
/// Connects lazily, so that Postgres may come later than we do.
pub fn lazy(url: &str, options: &PoolOptions) -> Result<PgPool> {
    let connect: PgConnectOptions = url.parse::<PgConnectOptions>()?.application_name("deskbridge").options([
        ("statement_timeout", options.statement_timeout.as_millis().to_string()),
        ("lock_timeout", options.lock_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", "60000".to_string()),
        ("timezone", "UTC".to_string()),
        ("jit", "off".to_string()),
        // A plan made while a table was empty must not be kept while it grows: planning a statement for a batch is cheap.
        ("plan_cache_mode", "force_custom_plan".to_string()),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(connect.disable_statement_logging()))
}

/// A transaction that only reads, and sees the database as it is at its first statement.
pub async fn begin_still(pool: &PgPool) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// Why a database is not served.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Postgres or the way to it failed.
    #[error("the database does not answer: {0}")]
    Unreachable(#[from] sqlx::Error),
    /// A migration failed.
    #[error("migrating the database failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A setting under which acknowledged data can be lost.
    #[error("the database runs with {0} = off: what was acknowledged could be lost. Set {0} = on and restart Postgres")]
    NotDurable(&'static str),
    /// A standby cannot be written to.
    #[error("the database is a standby and cannot be written to: point database.url at the primary")]
    Standby,
    /// Older than what is supported.
    #[error("the database is PostgreSQL {0}; 15 or newer is needed")]
    TooOld(i32),
    /// A newer deskbridge has migrated it.
    #[error(
        "the database was migrated by a newer deskbridge (migration {0} is not known here): run that version, or newer"
    )]
    MigratedByNewer(i64),
    /// Migrations are missing.
    #[error("the database lacks {0} migration(s): run `deskbridge migrate`")]
    Behind(usize),
}

/// Connects once, outside the pool: says at once, and in Postgres' own words, why it cannot be reached. The pool itself
/// would go on trying until its time is up, and then only say so.
pub async fn probe(pool: &PgPool) -> std::result::Result<(), Unfit> {
    use sqlx::Connection;
    let connection = sqlx::PgConnection::connect_with(&pool.connect_options()).await?;
    _ = connection.close().await;
    Ok(())
}

/// Checks that the database may be trusted with data: a durable primary of a supported version.
/// `allow_not_durable` is for the private Postgres of tests only.
pub async fn check(pool: &PgPool, allow_not_durable: bool) -> std::result::Result<(), Unfit> {
    let row = sqlx::query(
        "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
                pg_is_in_recovery() AS standby, current_setting('server_version_num')::int AS version",
    )
    .fetch_one(pool)
    .await?;
    let version: i32 = row.get("version");
    if version < 150_000 {
        return Err(Unfit::TooOld(version / 10_000));
    }
    if row.get("standby") {
        return Err(Unfit::Standby);
    }
    for (column, name) in [("fsync", "fsync"), ("pages", "full_page_writes")] {
        if !allow_not_durable && row.get::<String, _>(column) == "off" {
            return Err(Unfit::NotDurable(name));
        }
    }
    check_not_newer(pool).await
}

async fn check_not_newer(pool: &PgPool) -> std::result::Result<(), Unfit> {
    match applied(pool).await?.into_iter().find(|version| !MIGRATOR.version_exists(*version)) {
        Some(version) => Err(Unfit::MigratedByNewer(version)),
        None => Ok(()),
    }
}

async fn applied(pool: &PgPool) -> Result<Vec<i64>> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(pool).await?;
    if !known {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await
}

/// How many migrations the database lacks.
pub async fn missing_migrations(pool: &PgPool) -> Result<usize> {
    let applied = applied(pool).await?;
    Ok(MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count())
}

/// Brings the database's tables up to this version.
pub async fn migrate(pool: &PgPool) -> std::result::Result<(), Unfit> {
    check_not_newer(pool).await?;
    MIGRATOR.run(pool).await?;
    Ok(())
}

/// Keeps a transaction that waits from being taken for one that was forgotten.
pub async fn alive(db: &mut sqlx::PgConnection) -> Result<()> {
    sqlx::query("SELECT 1").execute(db).await?;
    Ok(())
}

/// True when the database can be written to.
pub async fn is_writable(pool: &PgPool) -> Result<bool> {
    sqlx::query_scalar("SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'")
        .fetch_one(pool)
        .await
}
