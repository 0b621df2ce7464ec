//! Table `push_record`: what became of each record of a run.

use super::Result;
use crate::model::push::{Changes, Fault, RecordState, Wanted};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row};
use std::collections::BTreeMap;

/// A record of a run, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The run.
    pub run_id: i64,
    /// Its place in the run; later ones are greater, in other runs as well.
    pub seq: i64,
    /// The activation.
    pub activation_id: i64,
    /// The row, as in `delivery`.
    pub row_key: String,
    /// Whose row it is.
    pub person_id: Option<i64>,
    /// Id of the record in Zendesk, once known.
    pub record_id: Option<String>,
    /// The value that finds it.
    pub key_value: Option<String>,
    /// What became of it.
    pub state: RecordState,
    /// At which stage of the roll-out it is sent.
    pub stage: i16,
    /// Digest of what is wanted.
    pub digest: i64,
    /// What is wanted.
    pub wanted: Wanted,
    /// What Zendesk had before.
    pub before: Option<Value>,
    /// What is sent.
    pub changes: Option<Changes>,
    /// What was left as Zendesk has it, by field, and why.
    pub kept: Option<BTreeMap<String, String>>,
    /// The call that it was last sent by.
    pub job_id: Option<i64>,
    /// Its place in that call.
    pub job_index: Option<i32>,
    /// Why it is not written, or was refused.
    pub fault: Option<Fault>,
    /// How often it was sent.
    pub tries: i16,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for Record {
    fn from_row(row: &PgRow) -> Result<Record> {
        let state: &str = row.try_get("state")?;
        let class: Option<String> = row.try_get("class")?;
        let field: Option<String> = row.try_get("field")?;
        let reason: Option<String> = row.try_get("reason")?;
        Ok(Record {
            run_id: row.try_get("run_id")?,
            seq: row.try_get("seq")?,
            activation_id: row.try_get("activation_id")?,
            row_key: row.try_get("row_key")?,
            person_id: row.try_get("person_id")?,
            record_id: row.try_get("record_id")?,
            key_value: row.try_get("key_value")?,
            state: RecordState::parse(state)
                .ok_or_else(|| super::Error::Decode(format!("{state:?} is no state of a record").into()))?,
            stage: row.try_get("stage")?,
            digest: row.try_get("digest")?,
            wanted: row.try_get::<Json<Wanted>, _>("wanted")?.0,
            before: row.try_get("before")?,
            changes: row.try_get::<Option<Json<Changes>>, _>("changes")?.map(|json| json.0),
            kept: row.try_get::<Option<Json<_>>, _>("kept")?.map(|json| json.0),
            job_id: row.try_get("job_id")?,
            job_index: row.try_get("job_index")?,
            fault: class.map(|class| Fault { field, class, reason: reason.unwrap_or_default() }),
            tries: row.try_get("tries")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// A record that a run gets.
#[derive(Debug, Serialize)]
pub struct NewRecord<'a> {
    /// The row.
    pub row_key: &'a str,
    /// Whose row it is.
    pub person_id: Option<i64>,
    /// Id of the record in Zendesk, where it is known.
    pub record_id: Option<&'a str>,
    /// The value that finds it.
    pub key_value: Option<&'a str>,
    /// `planned`, or `failed` and `skipped` with their fault.
    #[serde(serialize_with = "word")]
    pub state: RecordState,
    /// At which stage of the roll-out it is sent.
    pub stage: i16,
    /// Digest of what is wanted.
    pub digest: i64,
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// What is left as Zendesk has it, by field, and why.
    pub kept: Option<&'a BTreeMap<String, String>>,
    /// Why it is not sent.
    #[serde(flatten)]
    pub fault: Option<&'a Fault>,
}

fn word<S: serde::Serializer>(state: &RecordState, out: S) -> std::result::Result<S::Ok, S::Error> {
    out.serialize_str(state.as_str())
}

/// Adds records to a run, in this order.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    (run_id, activation_id): (i64, i64),
    records: &[NewRecord<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO push_record (workspace_id, run_id, activation_id, row_key, person_id, record_id, key_value, state, stage,
             digest, wanted, kept, field, class, reason, tries, updated_at)
         SELECT $1, $2, $3, t.*, 0, $5 FROM json_to_recordset($4::text::json) AS t(row_key text, person_id bigint, record_id text,
             key_value text, state text, stage smallint, digest bigint, wanted jsonb, kept jsonb, field text, class text, reason text)",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(activation_id)
    .bind(super::as_json(records))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The next planned records of a run up to a stage. Those whose row or record is in a call that has not ended wait for it.
pub async fn take(
    db: &mut PgConnection,
    workspace_id: i64,
    (run_id, source_id): (i64, i64),
    stage: i16,
    limit: i64,
) -> Result<Vec<Record>> {
    sqlx::query_as(
        "SELECT r.* FROM push_record r
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.state = 'planned' AND r.stage <= $4
           AND (r.activation_id, r.row_key) NOT IN (
               SELECT o.activation_id, o.row_key FROM push_job j JOIN push_record o ON o.workspace_id = j.workspace_id AND o.job_id = j.id
               WHERE j.workspace_id = $1 AND j.source_id = $3 AND j.ended_at IS NULL AND o.state = 'sent')
           AND coalesce(r.record_id, '') NOT IN (
               SELECT o.record_id FROM push_job j JOIN push_record o ON o.workspace_id = j.workspace_id AND o.job_id = j.id
               WHERE j.workspace_id = $1 AND j.source_id = $3 AND j.ended_at IS NULL AND o.state = 'sent' AND o.record_id IS NOT NULL)
         ORDER BY r.seq LIMIT $5",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(source_id)
    .bind(stage)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// What became of a record.
#[derive(Debug, Serialize)]
pub struct Outcome<'a> {
    /// Its run.
    pub run_id: i64,
    /// Its place there.
    pub seq: i64,
    /// Its new state.
    #[serde(serialize_with = "word")]
    pub state: RecordState,
    /// Its id in Zendesk, where that became known; None leaves what is stored.
    pub record_id: Option<&'a str>,
    /// What Zendesk had before; None leaves what is stored.
    pub before: Option<&'a Value>,
    /// What is sent; None leaves what is stored.
    pub changes: Option<&'a Changes>,
    /// What was left as Zendesk has it; None leaves what is stored.
    pub kept: Option<&'a BTreeMap<String, String>>,
    /// Why it is not written, or was refused.
    #[serde(flatten)]
    pub fault: Option<&'a Fault>,
}

/// Writes what became of records.
pub async fn finish(
    db: &mut PgConnection,
    workspace_id: i64,
    outcomes: &[Outcome<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE push_record r SET state = t.state, record_id = coalesce(t.record_id, r.record_id), before = coalesce(t.before, r.before),
                changes = coalesce(t.changes, r.changes), kept = coalesce(t.kept, r.kept), field = t.field, class = t.class,
                reason = t.reason, updated_at = $3
         FROM json_to_recordset($2::text::json) AS t(run_id bigint, seq bigint, state text, record_id text, before jsonb, changes jsonb,
             kept jsonb, field text, class text, reason text)
         WHERE r.workspace_id = $1 AND r.run_id = t.run_id AND r.seq = t.seq",
    )
    .bind(workspace_id)
    .bind(super::as_json(outcomes))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Puts records of a run back to be sent again: those of these states, of one row or class where they are named.
pub async fn back(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    which: &Which<'_>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let states: Vec<&str> = which.states.iter().map(|state| state.as_str()).collect();
    let back = sqlx::query(
        "UPDATE push_record SET state = 'planned', before = NULL, changes = NULL, kept = NULL, field = NULL, class = NULL,
                reason = NULL, tries = 0, updated_at = $6
         WHERE workspace_id = $1 AND run_id = $2 AND state = ANY($3) AND ($4::text IS NULL OR class = $4)
           AND ($5::text[] IS NULL OR row_key = ANY($5) OR record_id = ANY($5) OR key_value = ANY($5))",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(states)
    .bind(which.class)
    .bind(which.keys)
    .bind(now)
    .execute(db)
    .await?;
    Ok(back.rows_affected())
}

/// Which records of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// In one of these states.
    pub states: &'a [RecordState],
    /// Of this class of fault.
    pub class: Option<&'a str>,
    /// Of one of these rows, records or values of the key.
    pub keys: Option<&'a [String]>,
}

/// Has a plan's records be sent, each against the before-image that it has. Newer changes of their rows win, and older ones
/// that wait give way.
pub async fn release(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    superseded: &Fault,
    now: DateTime<Utc>,
) -> Result<()> {
    for sql in [
        "UPDATE push_record o SET state = 'skipped', class = $3, reason = $4, updated_at = $5
         FROM push_record n JOIN push_run r ON r.workspace_id = n.workspace_id AND r.id = n.run_id
         WHERE o.workspace_id = $1 AND o.run_id = $2 AND o.state = 'read' AND n.workspace_id = $1
           AND n.activation_id = o.activation_id AND n.row_key = o.row_key AND n.seq > o.seq AND n.state IN ('planned', 'sent')
           AND (r.kind <> 'plan' OR r.state = 'sending')",
        "UPDATE push_record o SET state = 'skipped', class = $3, reason = $4, updated_at = $5
         FROM push_record n
         WHERE o.workspace_id = $1 AND o.state = 'planned' AND n.workspace_id = $1 AND n.run_id = $2 AND n.state = 'read'
           AND n.activation_id = o.activation_id AND n.row_key = o.row_key AND n.seq > o.seq",
    ] {
        sqlx::query(sql)
            .bind(workspace_id)
            .bind(run_id)
            .bind(&superseded.class)
            .bind(&superseded.reason)
            .bind(now)
            .execute(&mut *db)
            .await?;
    }
    sqlx::query(
        "UPDATE push_record SET state = 'planned', updated_at = $3 WHERE workspace_id = $1 AND run_id = $2 AND state = 'read'",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// What records of a run are from now on, by their places.
pub async fn renew(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    records: &[(i64, NewRecord<'_>)],
    now: DateTime<Utc>,
) -> Result<()> {
    #[derive(Serialize)]
    struct Renewed<'a> {
        seq: i64,
        #[serde(flatten)]
        record: &'a NewRecord<'a>,
    }
    let rows: Vec<Renewed<'_>> = records.iter().map(|(seq, record)| Renewed { seq: *seq, record }).collect();
    sqlx::query(
        "UPDATE push_record r SET person_id = t.person_id, record_id = t.record_id, key_value = t.key_value, state = t.state,
                digest = t.digest, wanted = t.wanted, before = NULL, changes = NULL, kept = t.kept, field = t.field,
                class = t.class, reason = t.reason, tries = 0, updated_at = $4
         FROM json_to_recordset($3::text::json) AS t(seq bigint, person_id bigint, record_id text, key_value text, state text,
             digest bigint, wanted jsonb, kept jsonb, field text, class text, reason text)
         WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = t.seq",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(super::as_json(&rows))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The rows of a run's records.
pub async fn row_keys(db: &mut PgConnection, workspace_id: i64, run_id: i64) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT row_key FROM push_record WHERE workspace_id = $1 AND run_id = $2 ORDER BY seq")
        .bind(workspace_id)
        .bind(run_id)
        .fetch_all(db)
        .await
}

/// Gives up records that are planned: they become skipped, with a class and a reason.
pub async fn skip(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    which: &Which<'_>,
    fault: &Fault,
    now: DateTime<Utc>,
) -> Result<u64> {
    let states: Vec<&str> = which.states.iter().map(|state| state.as_str()).collect();
    let skipped = sqlx::query(
        "UPDATE push_record SET state = 'skipped', field = NULL, class = $6, reason = $7, updated_at = $8
         WHERE workspace_id = $1 AND run_id = $2 AND state = ANY($3) AND ($4::text IS NULL OR class = $4)
           AND ($5::text[] IS NULL OR row_key = ANY($5) OR record_id = ANY($5) OR key_value = ANY($5))",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(states)
    .bind(which.class)
    .bind(which.keys)
    .bind(&fault.class)
    .bind(&fault.reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(skipped.rows_affected())
}

/// Lets newer wishes for rows take the place of older ones that wait to be sent in other runs and in this one. Plans that
/// only look are left alone.
pub async fn supersede(
    db: &mut PgConnection,
    workspace_id: i64,
    activation_id: i64,
    row_keys: &[&str],
    fault: &Fault,
    now: DateTime<Utc>,
) -> Result<u64> {
    let skipped = sqlx::query(
        "UPDATE push_record o SET state = 'skipped', class = $4, reason = $5, updated_at = $6
         WHERE o.workspace_id = $1 AND o.activation_id = $2 AND o.row_key = ANY($3) AND o.state = 'planned'
           AND EXISTS (SELECT FROM push_run r WHERE r.workspace_id = o.workspace_id AND r.id = o.run_id
                         AND (r.kind <> 'plan' OR r.state NOT IN ('planning', 'reading')))",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(row_keys)
    .bind(&fault.class)
    .bind(&fault.reason)
    .bind(now)
    .execute(db)
    .await?;
    Ok(skipped.rows_affected())
}

/// Whether records of other runs of an activation wait to be sent.
pub async fn others_planned(db: &mut PgConnection, workspace_id: i64, activation_id: i64, run_id: i64) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM push_run r JOIN push_record o ON o.workspace_id = r.workspace_id AND o.run_id = r.id
             WHERE r.workspace_id = $1 AND r.activation_id = $2 AND r.ended_at IS NULL AND o.state = 'planned'
               AND (r.id <> $3 OR r.kind = 'always'))",
    )
    .bind(workspace_id)
    .bind(activation_id)
    .bind(run_id)
    .fetch_one(db)
    .await
}

/// Fails planned records of a run that share a record, or a key while their record is not known: `[record, key]` say why.
pub async fn refuse_twins(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    [of_record, of_key]: [&Fault; 2],
    now: DateTime<Utc>,
) -> Result<()> {
    // Counted once and then found by their places: joined to their counts, records that no statistics know of yet were counted
    // again for each of them, which took half a minute for eight thousand.
    for (fault, sql) in [
        (
            of_record,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = ANY (ARRAY(
                 SELECT t.seq FROM (SELECT seq, count(*) OVER (PARTITION BY record_id) AS rows FROM push_record
                     WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND record_id IS NOT NULL) t WHERE t.rows > 1))",
        ),
        (
            of_key,
            "UPDATE push_record r SET state = 'failed', class = $3, reason = $4, updated_at = $5
             WHERE r.workspace_id = $1 AND r.run_id = $2 AND r.seq = ANY (ARRAY(
                 SELECT t.seq FROM (SELECT seq, count(*) OVER (PARTITION BY lower(key_value)) AS rows FROM push_record
                     WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' AND record_id IS NULL
                       AND key_value IS NOT NULL) t WHERE t.rows > 1))",
        ),
    ] {
        sqlx::query(sql)
            .bind(workspace_id)
            .bind(run_id)
            .bind(&fault.class)
            .bind(&fault.reason)
            .bind(now)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Planned records of a run, drawn from all of them by chance, the same ones each time.
pub async fn drawn(db: &mut PgConnection, workspace_id: i64, run_id: i64, limit: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT seq FROM push_record WHERE workspace_id = $1 AND run_id = $2 AND state = 'planned' ORDER BY md5(row_key), seq LIMIT $3",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Sets at which stage records of a run are sent.
pub async fn set_stage(db: &mut PgConnection, workspace_id: i64, run_id: i64, seqs: &[i64], stage: i16) -> Result<()> {
    sqlx::query("UPDATE push_record SET stage = $4 WHERE workspace_id = $1 AND run_id = $2 AND seq = ANY($3)")
        .bind(workspace_id)
        .bind(run_id)
        .bind(seqs)
        .bind(stage)
        .execute(db)
        .await?;
    Ok(())
}

/// Records of a run after a place, in their order.
pub async fn page(
    db: &mut PgConnection,
    workspace_id: i64,
    run_id: i64,
    which: &Which<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Record>> {
    let states: Vec<&str> = which.states.iter().map(|state| state.as_str()).collect();
    sqlx::query_as(
        "SELECT * FROM push_record
         WHERE workspace_id = $1 AND run_id = $2 AND seq > $6 AND (cardinality($3::text[]) = 0 OR state = ANY($3))
           AND ($4::text IS NULL OR class = $4) AND ($5::text[] IS NULL OR row_key = ANY($5) OR record_id = ANY($5) OR key_value = ANY($5))
         ORDER BY seq LIMIT $7",
    )
    .bind(workspace_id)
    .bind(run_id)
    .bind(states)
    .bind(which.class)
    .bind(which.keys)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await
}
