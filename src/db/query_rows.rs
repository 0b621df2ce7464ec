//! Rows of an operator's query: read by a role that may read little and write nothing, and kept while a run is planned.
//!
//! Four walls stand between a query and harm. It is made a temporary view, which takes one SELECT and nothing that writes.
//! The view's tree names each relation, function and type: only views of `deskbridge_read`, and functions of Postgres itself that
//! look at nothing but their arguments, pass; so nothing in it can set the role or a setting, sleep, read files or open
//! connections. It runs as `deskbridge_reader`, who may read those views only. And its transaction only reads, never commits,
//! and stands on a connection of its own, which is closed afterwards.

use super::Result;
use crate::model::query::{Given, Kept, Looked, RowFault};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};

/// The role that queries run as.
pub const READER: &str = "deskbridge_reader";

/// Rows fetched at once, and bytes that a row may have as JSON: together they bound what is held in memory.
pub const PIECE: usize = 500;
/// Bytes that a row may have as JSON.
pub const ROW_BYTES: usize = 64 << 10;

/// What stands before a query.
const BEFORE: &str = "CREATE TEMPORARY VIEW deskbridge_rows AS ";

/// Functions that are not volatile and yet look at the server, at a setting or at a table by its name.
const OF_THE_SERVER: &str = "^(pg_|lo_|txid_|has_|inet_(client|server)|to_reg|binary_upgrade_|ts_stat|ts_rewrite|current_setting\
     |current_schema|row_security|getdatabaseencoding|version$|(obj|col|shobj)_description)|_to_xml";

/// A connection of its own, outside the pool, in a transaction that is never committed: whatever a query leaves behind ends with it.
pub async fn connect(pool: &PgPool) -> Result<PgConnection> {
    let mut db = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::query("BEGIN").persistent(false).execute(&mut db).await?;
    Ok(db)
}

/// Who we are, and whether the role can be used.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Reader {
    /// Our own user, quoted.
    pub user: String,
    /// The database, quoted.
    pub database: String,
    /// Whether the role is there.
    pub is_there: bool,
    /// Whether it may read what queries read, and we may take it on.
    pub is_ready: bool,
}

/// Prepares a transaction for a query: workspace, timeout, where names are looked for; and that Postgres ends it when we are gone.
pub async fn prepare(db: &mut PgConnection, workspace_id: i64, timeout_ms: i64) -> Result<Reader> {
    sqlx::query(
        "SELECT set_config('deskbridge.workspace', $1, true), set_config('statement_timeout', $2, true),
                set_config('search_path', 'deskbridge_read, pg_catalog, pg_temp', true), set_config('cursor_tuple_fraction', '1', true),
                CASE WHEN version() !~* '(mingw|msvc|visual c|windows)' THEN set_config('client_connection_check_interval', '1s', true) END",
    )
    .bind(workspace_id.to_string())
    .bind(timeout_ms.to_string())
    .execute(&mut *db)
    .await?;
    sqlx::query_as(
        "SELECT quote_ident(current_user) AS user, quote_ident(current_database()) AS database, r.id IS NOT NULL AS is_there,
                coalesce(pg_has_role(current_user, r.id, 'MEMBER') AND has_schema_privilege(r.id, 'deskbridge_read', 'USAGE')
                         AND has_database_privilege(r.id, current_database(), 'TEMPORARY')
                         AND (SELECT bool_and(has_table_privilege(r.id, c.oid, 'SELECT')) FROM pg_class c
                              WHERE c.relnamespace = 'deskbridge_read'::regnamespace AND c.relkind = 'v'), false) AS is_ready
         FROM (SELECT to_regrole($1)::oid AS id) r",
    )
    .bind(READER)
    .fetch_one(db)
    .await
}

/// Takes the role on for the rest of the transaction.
pub async fn take_role(db: &mut PgConnection) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("SET LOCAL ROLE {READER}"))).persistent(false).execute(db).await?;
    Ok(())
}

/// Has Postgres read the query without running it. The extended protocol takes one statement only.
pub async fn understand(db: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("{BEFORE}{sql}"))).persistent(false).execute(db).await?;
    Ok(())
}

/// The line of a query, counted from 1, at which Postgres found an error in it.
pub fn line_of(error: &dyn sqlx::error::DatabaseError, sql: &str) -> Option<usize> {
    let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    let sqlx::postgres::PgErrorPosition::Original(at) = error.position()? else { return None };
    let at = at.checked_sub(BEFORE.chars().count() + 1)?;
    Some(1 + sql.chars().take(at).filter(|c| *c == '\n').count())
}

/// What the query that was understood calls, reads and gives, by the tree of its view.
pub async fn look(db: &mut PgConnection) -> Result<Looked> {
    let row = sqlx::query(
        "WITH view_tree AS (
             SELECT oid AS id, ev_class, ev_action::text AS tree FROM pg_rewrite WHERE ev_class = to_regclass($2)
         ), called AS (
             SELECT DISTINCT (m.found)[1]::oid AS id
             FROM view_tree, regexp_matches(tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler) ([0-9]+)', 'g') AS m(found)
         ), read AS (
             SELECT DISTINCT (m.found)[1]::oid AS id FROM view_tree, regexp_matches(tree, ':relid ([0-9]+)', 'g') AS m(found)
             WHERE (m.found)[1]::oid NOT IN (0, ev_class)
         ), named AS (
             SELECT DISTINCT (m.found)[1]::oid AS id
             FROM view_tree, regexp_matches(tree, ':(?:consttype|resulttype|funcresulttype|vartype) ([0-9]+)', 'g') AS m(found)
         ), whole AS (
             SELECT DISTINCT t.typrelid AS id
             FROM view_tree, regexp_matches(tree, ':varattno 0 :vartype ([0-9]+)', 'g') AS m(found), pg_type t
             WHERE t.oid = (m.found)[1]::oid
         ), columns AS (
             SELECT d.refobjid AS id, d.refobjsubid AS place FROM view_tree v JOIN pg_depend d
                 ON d.classid = 'pg_rewrite'::regclass AND d.objid = v.id AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
             UNION SELECT w.id, a.attnum FROM whole w JOIN pg_attribute a ON a.attrelid = w.id AND a.attnum > 0
         )
         SELECT ARRAY(SELECT DISTINCT f.proname::text FROM called c JOIN pg_proc f ON f.oid = c.id
                      WHERE f.provolatile = 'v' OR f.oid >= 16384 OR f.proname ~ $1 AND f.proname <> 'pg_typeof') AS functions,
                ARRAY(SELECT DISTINCT r.relnamespace::regnamespace || '.' || quote_ident(r.relname) FROM read JOIN pg_class r ON r.oid = read.id
                      WHERE r.relnamespace <> 'deskbridge_read'::regnamespace) AS relations,
                ARRAY(SELECT t.typname::text FROM named n JOIN pg_type t ON t.oid = n.id
                      WHERE t.typname ~ '^_?reg' AND t.typname !~ 'reg(config|dictionary)' AND t.oid < 16384) AS types,
                (SELECT tree ~ ':hasForUpdate true' FROM view_tree) AS locks,
                ARRAY(SELECT r.relname || '.' || a.attname FROM columns c JOIN pg_class r ON r.oid = c.id
                      JOIN pg_attribute a ON a.attrelid = c.id AND a.attnum = c.place
                      WHERE r.relnamespace = 'deskbridge_read'::regnamespace ORDER BY 1) AS reads,
                ARRAY(SELECT attname::text FROM view_tree JOIN pg_attribute a ON a.attrelid = view_tree.ev_class
                      WHERE a.attnum > 0 ORDER BY a.attnum) AS columns",
    )
    .persistent(false)
    .bind(OF_THE_SERVER)
    .bind("pg_temp.deskbridge_rows")
    .fetch_one(db)
    .await?;
    let reads: Vec<String> = row.try_get("reads")?;
    let in_two = |read: &String| read.split_once('.').map(|(view, column)| (view.to_owned(), column.to_owned()));
    Ok(Looked {
        functions: row.try_get("functions")?,
        relations: row.try_get("relations")?,
        types: row.try_get("types")?,
        locks: row.try_get("locks")?,
        reads: reads.iter().filter_map(in_two).collect(),
        columns: row.try_get("columns")?,
    })
}

/// Begins to run the query that was looked at; with `among`, only its rows with these keys. From here on the transaction only reads.
pub async fn run(db: &mut PgConnection, key: &str, among: Option<&[String]>) -> Result<()> {
    sqlx::query("SET TRANSACTION READ ONLY").persistent(false).execute(&mut *db).await?;
    let key = key.replace('"', "\"\"");
    let cursor = format!(
        "DECLARE deskbridge_cursor NO SCROLL CURSOR FOR
         SELECT left(k, 300), CASE WHEN octet_length(row) <= {ROW_BYTES} THEN row END
         FROM (SELECT q.\"{key}\"::text AS k, to_jsonb(q)::text AS row FROM pg_temp.deskbridge_rows q
               WHERE $1::text[] IS NULL OR q.\"{key}\"::text = ANY($1)) r"
    );
    sqlx::query(AssertSqlSafe(cursor)).persistent(false).bind(among).execute(db).await?;
    Ok(())
}

/// The next rows within this time. Answers them, and how long it took; none after the last.
pub async fn fetch(db: &mut PgConnection, timeout_ms: i64) -> Result<(Vec<Given>, i64)> {
    sqlx::query("SELECT set_config('statement_timeout', $1, true)")
        .bind(timeout_ms.to_string())
        .execute(&mut *db)
        .await?;
    let before = milliseconds(db).await?;
    let fetch = format!("FETCH {PIECE} FROM deskbridge_cursor");
    let rows = sqlx::query_as(AssertSqlSafe(fetch)).persistent(false).fetch_all(&mut *db).await?;
    Ok((rows, milliseconds(db).await? - before))
}

/// The time by Postgres' clock: what a query takes is real time, whatever the daemon's clock says.
async fn milliseconds(db: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").fetch_one(db).await
}

/// Keeps rows. Those whose key was there before are all of them of no use: nobody knows which is meant.
pub async fn keep(db: &mut PgConnection, workspace_id: i64, run: (i64, i64), rows: &[Kept]) -> Result<()> {
    sqlx::query(
        "INSERT INTO query_row (workspace_id, run_id, activation_id, row_key, columns, fault)
         SELECT $1, $2, $3, row_key, CASE WHEN count(*) = 1 THEN min(columns)::jsonb END,
                CASE WHEN count(*) = 1 THEN min(fault) ELSE 'duplicate_key' END
         FROM unnest($4::text[], $5::text[], $6::text[]) AS t(row_key, columns, fault) GROUP BY row_key
         ON CONFLICT (workspace_id, run_id, row_key) DO UPDATE SET columns = NULL, fault = 'duplicate_key'",
    )
    .bind(workspace_id)
    .bind(run.0)
    .bind(run.1)
    .bind(super::column(rows, |row| row.row_key.as_str()))
    .bind(super::column(rows, |row| row.columns.as_deref()))
    .bind(super::column(rows, |row| row.fault.map(RowFault::as_str)))
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets the rows of a run.
pub async fn forget(db: &mut PgConnection, workspace_id: i64, run_id: i64) -> Result<()> {
    sqlx::query("DELETE FROM query_row WHERE workspace_id = $1 AND run_id = $2")
        .bind(workspace_id)
        .bind(run_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets what runs of an activation left that are not planned any more: one that was stopped while its query was read.
pub async fn forget_left(db: &mut PgConnection, workspace_id: i64, activation_id: i64) -> Result<()> {
    sqlx::query(
        "DELETE FROM query_row WHERE workspace_id = $1 AND activation_id = $2 AND run_id NOT IN (
             SELECT id FROM push_run WHERE workspace_id = $1 AND activation_id = $2 AND state = 'planning')",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .execute(db)
    .await?;
    Ok(())
}

/// Rows of a run after one, by their keys.
pub async fn page(db: &mut PgConnection, workspace_id: i64, run_id: i64, after: &str, limit: i64) -> Result<Vec<Kept>> {
    let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT row_key, columns::text, fault FROM query_row
         WHERE workspace_id = $1 AND run_id = $2 AND row_key > $3 ORDER BY row_key LIMIT $4",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let kept = |(row_key, columns, fault): (String, Option<String>, Option<String>)| {
        let fault = fault.map(|word| RowFault::parse(&word).unwrap_or(RowFault::BadValue));
        Kept { row_key, columns, fault }
    };
    Ok(rows.into_iter().map(kept).collect())
}

/// Rows that were delivered and that the query gives no more, after one; with `among`, only these.
pub async fn vanished(
    db: &mut PgConnection,
    workspace_id: i64,
    run: (i64, i64),
    among: Option<&[String]>,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT d.row_key FROM delivery d
         WHERE d.workspace_id = $1 AND d.activation_id = $3 AND d.row_key > $4 AND ($5::text[] IS NULL OR d.row_key = ANY($5))
           AND NOT EXISTS (SELECT 1 FROM query_row q WHERE q.workspace_id = d.workspace_id AND q.run_id = $2 AND q.row_key = d.row_key)
         ORDER BY d.row_key LIMIT $6",
    )
    .bind(workspace_id)
    .bind(run.0)
    .bind(run.1)
    .bind(after)
    .bind(among)
    .bind(limit)
    .fetch_all(db)
    .await
}
