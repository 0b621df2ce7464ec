//! Tables `alert` and `alert_message`, and what alerts are judged by.

use super::Result;
use crate::model::alert::{ActivationFacts, Alert, AlertKind, Channel, Matter, RunFacts};
use crate::model::push::{RunCounts, RunKind, RunState};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// A source with tokens that end: number, when its refresh token ends, whether Zendesk refuses it already.
pub type Ending = (i64, DateTime<Utc>, bool);

fn unknown(what: &str, word: &str) -> super::Error {
    super::Error::Decode(format!("{word:?} is no {what}").into())
}

/// All activations, as far as alerts are judged by them.
pub async fn activations(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<ActivationFacts>> {
    let rows = sqlx::query(
        "SELECT a.id, a.name, a.definition, a.error, a.failing_since, a.next_at, a.replan_at,
                a.paused_at IS NULL AND s.paused_at IS NULL AND s.state IN ('syncing', 'connected') AS works,
                (SELECT d.since FROM activation_due d WHERE a.always AND d.workspace_id = a.workspace_id AND d.activation_id = a.id
                 ORDER BY d.since LIMIT 1) AS due_since
         FROM activation a JOIN source s ON s.id = a.source_id WHERE a.workspace_id = $1 ORDER BY a.name",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await?;
    let facts = |row: &PgRow| ActivationFacts {
        id: row.get("id"),
        name: row.get("name"),
        works: row.get("works"),
        definition: row.get("definition"),
        error: row.get("error"),
        failing_since: row.get("failing_since"),
        next_at: row.get("next_at"),
        replan_at: row.get("replan_at"),
        due_since: row.get("due_since"),
    };
    Ok(rows.iter().map(facts).collect())
}

/// Of every activation the latest runs of each kind that writes, newest first.
pub async fn runs(db: &mut PgConnection, workspace_id: i64, of_each: i64) -> Result<Vec<RunFacts>> {
    let rows = sqlx::query(
        "SELECT r.id, r.activation_id, r.kind, r.state, r.counts, r.asks, r.error, r.by_hand
         FROM activation a CROSS JOIN unnest(ARRAY['run', 'always', 'undo']) k(kind) CROSS JOIN LATERAL (
             SELECT id, activation_id, kind, state, counts, asks, error, by_hand FROM push_run
             WHERE workspace_id = a.workspace_id AND activation_id = a.id AND push_run.kind = k.kind ORDER BY id DESC LIMIT $2) r
         WHERE a.workspace_id = $1 ORDER BY r.id DESC",
    )
    .bind(workspace_id)
    .bind(of_each)
    .fetch_all(db)
    .await?;
    let facts = |row: &PgRow| {
        let (kind, state): (&str, &str) = (row.get("kind"), row.get("state"));
        Ok(RunFacts {
            id: row.get("id"),
            activation_id: row.get("activation_id"),
            kind: RunKind::parse(kind).ok_or_else(|| unknown("kind of a run", kind))?,
            state: RunState::parse(state).ok_or_else(|| unknown("state of a run", state))?,
            counts: row.try_get::<Json<RunCounts>, _>("counts")?.0,
            asks: row.get("asks"),
            error: row.get("error"),
            by_hand: row.get("by_hand"),
        })
    };
    rows.iter().map(facts).collect()
}

/// Refresh tokens of a workspace's sources: when they end.
pub async fn ending(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<Ending>> {
    sqlx::query_as(
        "SELECT g.source_id, g.refresh_expires_at, g.lost_at IS NOT NULL FROM source_grant g JOIN source s ON s.id = g.source_id
         WHERE s.workspace_id = $1 ORDER BY g.source_id",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

fn alert_of(row: &PgRow) -> Result<Alert> {
    let kind: &str = row.get("kind");
    Ok(Alert {
        id: row.get("id"),
        kind: AlertKind::parse(kind).ok_or_else(|| unknown("kind of an alert", kind))?,
        about: row.get("about"),
        words: row.get("words"),
        opened_at: row.get("opened_at"),
        told_at: row.get("told_at"),
        recovered_at: row.get("recovered_at"),
    })
}

/// The alerts that are open.
pub async fn open(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<Alert>> {
    let rows = sqlx::query("SELECT * FROM alert WHERE workspace_id = $1 AND recovered_at IS NULL ORDER BY id")
        .bind(workspace_id)
        .fetch_all(db)
        .await?;
    rows.iter().map(alert_of).collect()
}

/// The alerts that are open, then the latest of the others.
pub async fn latest(db: &mut PgConnection, workspace_id: i64, limit: i64) -> Result<Vec<Alert>> {
    let rows = sqlx::query(
        "SELECT * FROM alert WHERE workspace_id = $1 ORDER BY recovered_at IS NULL DESC, recovered_at DESC, id DESC LIMIT $2",
    )
    .bind(workspace_id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(alert_of).collect()
}

/// Stores an alert that begins. Answers with its number.
pub async fn insert(db: &mut PgConnection, workspace_id: i64, matter: &Matter, now: DateTime<Utc>) -> Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO alert (workspace_id, kind, about, activation_id, source_id, words, opened_at, told_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id",
    )
    .bind(workspace_id)
    .bind(matter.kind.as_str())
    .bind(&matter.about)
    .bind(matter.activation_id)
    .bind(matter.source_id)
    .bind(&matter.words)
    .bind(now)
    .fetch_one(db)
    .await
}

/// Notes that an alert was told of again, or that it is over.
pub async fn told(db: &mut PgConnection, workspace_id: i64, alert: &Alert, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE alert SET words = $3, told_at = $4, recovered_at = $5 WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(alert.id)
        .bind(&alert.words)
        .bind(now)
        .bind(alert.recovered_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Stores a message. Belongs into the transaction of what it tells.
pub async fn put_message(
    db: &mut PgConnection,
    workspace_id: i64,
    alert_id: i64,
    channel: Channel,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO alert_message (workspace_id, alert_id, channel, body, tries, next_at, created_at)
         VALUES ($1, $2, $3, $4, 0, $5, $5)",
    )
    .bind(workspace_id)
    .bind(alert_id)
    .bind(channel.as_str())
    .bind(body)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Number, the same in every try.
    pub id: i64,
    /// How it is sent.
    pub channel: Channel,
    /// What is sent.
    pub body: Value,
    /// How often it was tried in vain.
    pub tries: i32,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// The next message that is due on a channel, oldest first. One about an alert waits for those before it.
pub async fn due(
    db: &mut PgConnection,
    workspace_id: i64,
    channel: Channel,
    after: i64,
    now: DateTime<Utc>,
) -> Result<Option<Message>> {
    let row = sqlx::query(
        "SELECT m.id, m.body, m.tries, m.created_at FROM alert_message m
         WHERE m.workspace_id = $1 AND m.channel = $2 AND m.id > $3 AND m.next_at <= $4
           AND m.sent_at IS NULL AND m.given_up_at IS NULL AND NOT EXISTS (
               SELECT 1 FROM alert_message e WHERE e.workspace_id = $1 AND e.alert_id = m.alert_id AND e.channel = $2
                 AND e.id < m.id AND e.sent_at IS NULL AND e.given_up_at IS NULL)
         ORDER BY m.id LIMIT 1",
    )
    .bind(workspace_id)
    .bind(channel.as_str())
    .bind(after)
    .bind(now)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Message {
        id: row.get("id"),
        channel,
        body: row.get("body"),
        tries: row.get("tries"),
        created_at: row.get("created_at"),
    }))
}

/// Notes that a message was taken.
pub async fn sent(db: &mut PgConnection, workspace_id: i64, id: i64, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE alert_message SET sent_at = $3, error = NULL WHERE workspace_id = $1 AND id = $2")
        .bind(workspace_id)
        .bind(id)
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

/// What a failed try was of.
#[derive(Debug, Clone, Copy)]
pub enum Tried {
    /// One message, which was refused.
    Message(i64),
    /// A channel that does not answer: all that is due on it.
    Channel(Channel),
}

/// Notes a failed try: the next at `next_at`, or none once there were `most`. Answers with the messages that are given up.
pub async fn failed(
    db: &mut PgConnection,
    workspace_id: i64,
    tried: Tried,
    error: &str,
    (now, next_at): (DateTime<Utc>, DateTime<Utc>),
    most: i32,
) -> Result<Vec<i64>> {
    let (message, channel) = match tried {
        Tried::Message(id) => (Some(id), None),
        Tried::Channel(channel) => (None, Some(channel.as_str())),
    };
    let rows: Vec<(i64, bool)> = sqlx::query_as(
        "UPDATE alert_message SET tries = tries + 1, error = $4, next_at = $6,
                given_up_at = CASE WHEN tries + 1 >= $7 THEN $5::timestamptz END
         WHERE workspace_id = $1 AND sent_at IS NULL AND given_up_at IS NULL
           AND (id = $2 OR channel = $3 AND next_at <= $5) RETURNING id, given_up_at IS NOT NULL",
    )
    .bind(workspace_id)
    .bind(message)
    .bind(channel)
    .bind(error)
    .bind(now)
    .bind(next_at)
    .bind(most)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter(|(_, given_up)| *given_up).map(|(id, _)| id).collect())
}

/// When a message is to be sent next.
pub async fn next_at(db: &mut PgConnection, workspace_id: i64) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(
        "SELECT min(next_at) FROM alert_message WHERE workspace_id = $1 AND sent_at IS NULL AND given_up_at IS NULL",
    )
    .bind(workspace_id)
    .fetch_one(db)
    .await
}

/// Removes alerts that were over before `before`, and their messages.
pub async fn forget(db: &mut PgConnection, workspace_id: i64, before: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "DELETE FROM alert_message WHERE workspace_id = $1 AND alert_id IN (
             SELECT id FROM alert WHERE workspace_id = $1 AND recovered_at < $2)",
    )
    .bind(workspace_id)
    .bind(before)
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM alert WHERE workspace_id = $1 AND recovered_at < $2")
        .bind(workspace_id)
        .bind(before)
        .execute(db)
        .await?;
    Ok(())
}
