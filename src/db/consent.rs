//! Tables `consent_event` and `consent_wording`: the ledger. Rows are added, never changed.

use super::Result;
use crate::model::consent::{Channel, ConsentAction, ConsentEvent, Evidence};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;

/// An entry to be added.
#[derive(Debug, Serialize)]
pub struct ConsentRow<'a> {
    /// The person.
    pub person_id: i64,
    /// Keyed digest of the address, hexadecimal with `\x`, where there is one.
    pub subject_hmac: Option<String>,
    /// Channel.
    pub channel: &'a str,
    /// Action.
    pub action: &'a str,
    /// How strong it is.
    pub evidence: &'a str,
    /// Who.
    pub actor: &'a str,
    /// What the person was told.
    pub wording_id: Option<i64>,
    /// When the person did it.
    pub occurred_at: DateTime<Utc>,
}

/// Adds entries.
pub async fn insert(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    rows: &[ConsentRow<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO consent_event (workspace_id, source_id, person_id, subject_hmac, channel, action, evidence, actor, wording_id,
             occurred_at, recorded_at)
         SELECT $1, $2, t.*, $4 FROM json_to_recordset($3::text::json) AS t(person_id bigint, subject_hmac bytea, channel text, action text,
             evidence text, actor text, wording_id bigint, occurred_at timestamptz)",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(super::as_json(rows))
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// The ledgers of these people.
pub async fn load(
    db: &mut PgConnection,
    workspace_id: i64,
    person_ids: &[i64],
) -> Result<BTreeMap<i64, Vec<ConsentEvent>>> {
    let mut ledgers: BTreeMap<i64, Vec<ConsentEvent>> = BTreeMap::new();
    if person_ids.is_empty() {
        return Ok(ledgers);
    }
    let rows = sqlx::query(
        "SELECT id, person_id, channel, action, evidence, occurred_at FROM consent_event
         WHERE workspace_id = $1 AND person_id = ANY($2) ORDER BY id",
    )
    .bind(workspace_id)
    .bind(person_ids)
    .fetch_all(db)
    .await?;
    for row in &rows {
        let parsed = (
            Channel::parse(row.get("channel")),
            ConsentAction::parse(row.get("action")),
            Evidence::parse(row.get("evidence")),
        );
        if let (Some(channel), Some(action), Some(evidence)) = parsed {
            let event =
                ConsentEvent { id: row.get("id"), channel, action, evidence, occurred_at: row.get("occurred_at") };
            ledgers.entry(row.get("person_id")).or_default().push(event);
        }
    }
    Ok(ledgers)
}

/// Ids of wordings, made where they are new.
pub async fn wordings(
    db: &mut PgConnection,
    workspace_id: i64,
    texts: &[&str],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, i64>> {
    if texts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let digests: Vec<Vec<u8>> = texts.iter().map(|text| Sha256::digest(text.as_bytes()).to_vec()).collect();
    sqlx::query(
        "INSERT INTO consent_wording (workspace_id, digest, wording, created_at)
         SELECT DISTINCT $1::bigint, t.digest, t.wording, $4::timestamptz FROM unnest($2::bytea[], $3::text[]) AS t(digest, wording)
         ON CONFLICT (workspace_id, digest) DO NOTHING",
    )
    .bind(workspace_id)
    .bind(&digests)
    .bind(texts)
    .bind(now)
    .execute(&mut *db)
    .await?;
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT wording, id FROM consent_wording WHERE workspace_id = $1 AND digest = ANY($2)")
            .bind(workspace_id)
            .bind(&digests)
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().collect())
}
