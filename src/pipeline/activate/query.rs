//! An operator's query: looked at before it may run, and read piece by piece within its time.

use super::stored::ActivationError;
use crate::db;
use crate::db::query_rows::{self, READER, Reader};
use crate::model::activation::{Activation, Rows};
use crate::model::query::{Kept, RowFault};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::query::{self, Refusal};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// How often a transaction that waits for a query says that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// Why a query gave no rows.
pub(super) enum Stop {
    /// It is at fault.
    Query(Refusal),
    /// Something else is.
    Flow(FlowError),
}

impl From<FlowError> for Stop {
    fn from(error: FlowError) -> Stop {
        Stop::Flow(error)
    }
}

impl From<Stop> for ActivationError {
    fn from(stop: Stop) -> ActivationError {
        match stop {
            Stop::Query(refusal) => ActivationError::refused(refusal.what, refusal.todo),
            Stop::Flow(error) => ActivationError::Flow(error),
        }
    }
}

/// A query that may be used, on a connection of its own.
pub(super) struct Reading<'a> {
    db: PgConnection,
    activation: &'a Activation,
    sql: &'a str,
    key: &'a str,
    timeout_secs: u32,
    max_rows: u64,
    /// Milliseconds that it may still run.
    left: i64,
    /// Rows that it gave.
    seen: u64,
}

impl<'a> Reading<'a> {
    /// Has Postgres read the query of an activation, and sees whether it may be used. Nothing runs yet. None: there is no query.
    pub(super) async fn open(
        ctx: &Context,
        workspace: i64,
        activation: &'a Activation,
    ) -> Result<Option<Reading<'a>>, Stop> {
        let Rows::Query { sql, key, timeout_secs, max_rows } = &activation.rows else { return Ok(None) };
        let (timeout_secs, max_rows) = (*timeout_secs, *max_rows);
        let left = i64::from(timeout_secs) * 1000;
        let sql = sql.trim_end().trim_end_matches(';');
        let mut db = query_rows::connect(&ctx.pool).await.map_err(FlowError::from)?;
        let reader = query_rows::prepare(&mut db, workspace, left).await.map_err(FlowError::from)?;
        if !reader.is_ready {
            return Err(Stop::Query(no_role(&reader)));
        }
        // Of newer versions of Postgres, a member need not be allowed to take the role on.
        query_rows::take_role(&mut db).await.map_err(|_| Stop::Query(no_role(&reader)))?;
        let mut reading = Reading { db, activation, sql, key, timeout_secs, max_rows, left, seen: 0 };
        let understood = query_rows::understand(&mut reading.db, sql).await;
        understood.map_err(|error| reading.told(error, false))?;
        let looked = query_rows::look(&mut reading.db).await.map_err(FlowError::from)?;
        let more: BTreeSet<String> = ctx.settings.privacy.personal_fields.iter().cloned().collect();
        match query::problem(activation, &looked, &more) {
            Some(refusal) => Err(Stop::Query(refusal)),
            None => Ok(Some(reading)),
        }
    }

    /// Begins to run it; with `among`, only for rows with these keys.
    pub(super) async fn start(&mut self, among: Option<&[String]>) -> Result<(), Stop> {
        let started = query_rows::run(&mut self.db, self.key, among).await;
        started.map_err(|error| self.told(error, true))
    }

    /// The next rows; none after the last.
    pub(super) async fn next(&mut self) -> Result<Vec<Kept>, Stop> {
        if self.left <= 0 {
            return Err(Stop::Query(Refusal::too_long(self.timeout_secs)));
        }
        let fetched = query_rows::fetch(&mut self.db, self.left).await;
        let (rows, took) = fetched.map_err(|error| self.told(error, true))?;
        self.left -= took;
        let before = self.seen;
        self.seen += rows.len() as u64;
        if self.seen > self.max_rows {
            return Err(Stop::Query(Refusal::too_many(self.max_rows)));
        }
        let target = self.activation.target;
        Ok(rows.into_iter().zip(before..).map(|(row, at)| query::kept(self.key, target, row, at)).collect())
    }

    /// Whose fault an error is.
    fn told(&self, error: db::Error, runs: bool) -> Stop {
        let refusal = error.as_database_error().and_then(|of_query| {
            let code = of_query.code().unwrap_or_default();
            match code.as_ref() {
                "57014" => Some(Refusal::too_long(self.timeout_secs)),
                code => query::refused(code, of_query.message(), query_rows::line_of(of_query, self.sql), runs),
            }
        });
        refusal.map_or_else(|| Stop::Flow(error.into()), Stop::Query)
    }
}

/// What an admin has to run before queries can be.
fn no_role(reader: &Reader) -> Refusal {
    let Reader { user, database, is_there, .. } = reader;
    let create = if *is_there { String::new() } else { format!("CREATE ROLE {READER} NOLOGIN; ") };
    let statements = format!(
        "{create}GRANT {READER} TO {user}; GRANT TEMPORARY ON DATABASE {database} TO {READER}; GRANT USAGE ON SCHEMA deskbridge_read \
         TO {READER}; GRANT SELECT ON ALL TABLES IN SCHEMA deskbridge_read TO {READER};"
    );
    Refusal::no_role(READER, &statements)
}

/// Refuses a query that may not be run; it does not run here.
pub async fn check(ctx: &Context, workspace: i64, activation: &Activation) -> Result<(), ActivationError> {
    Reading::open(ctx, workspace, activation).await?;
    Ok(())
}

/// The rows of these keys as the query gives them now; those that it gives no more are not among them. `db` is a transaction that waits
/// meanwhile.
pub async fn again(
    ctx: &Context,
    db: &mut PgConnection,
    activation: &Activation,
    workspace: i64,
    row_keys: &[String],
) -> Result<Vec<Kept>, ActivationError> {
    let wanted: HashSet<&str> = row_keys.iter().map(String::as_str).collect();
    let query = async {
        let mut found: HashMap<String, Kept> = HashMap::new();
        let Some(mut reading) = Reading::open(ctx, workspace, activation).await? else { return Ok(found) };
        reading.start(Some(&query::key_values(row_keys))).await?;
        loop {
            let rows = reading.next().await?;
            if rows.is_empty() {
                return Ok(found);
            }
            for row in rows.into_iter().filter(|row| wanted.contains(row.row_key.as_str())) {
                let twin = Kept { columns: None, fault: Some(RowFault::DuplicateKey), ..row.clone() };
                found.entry(row.row_key.clone()).and_modify(|known| *known = twin).or_insert(row);
            }
        }
    };
    let mut query = std::pin::pin!(query);
    let found: Result<_, Stop> = loop {
        tokio::select! {
            done = &mut query => break done,
            () = ctx.clock.sleep(SIGN_OF_LIFE) => db::pool::alive(db).await.map_err(FlowError::from)?,
        }
    };
    Ok(found?.into_values().collect())
}
