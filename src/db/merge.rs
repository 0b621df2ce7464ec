//! Tables `person_merge`, `person_alias` and `merge_candidate`, and the list of everything that is a person's.

use super::Result;
use crate::model::person::Candidate;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

/// Tables whose rows simply change hands in a merge, by their column `person_id`. A test holds this list and
/// [`FOLDED`] against the schema: a table that is forgotten is data lost (I11).
pub const MOVED: &[&str] = &[
    "identity",
    "identity_revoked",
    "person_source",
    "activity",
    "ticket",
    "consent_event",
    "person_alias",
    "person_merge",
    "audience_touched",
    "delivery",
    "push_record",
];

/// Tables of a person whose rows are added up or compared in a merge.
pub const FOLDED: &[&str] =
    &["activity_rollup", "merge_candidate", "audience_member", "audience_manual", "activation_due"];

/// Logs a merge with both rows and what belongs to the one who goes, so that it can be undone (I10).
pub async fn record(
    db: &mut PgConnection,
    workspace_id: i64,
    survivor: i64,
    loser: i64,
    actor: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO person_merge (workspace_id, person_id, loser_id, merged_at, actor, reason, snapshot)
         SELECT $1, $2, $3, $4, $5, $6, jsonb_build_object(
             'survivor', (SELECT to_jsonb(p) FROM person p WHERE workspace_id = $1 AND id = $2),
             'loser', (SELECT to_jsonb(p) FROM person p WHERE workspace_id = $1 AND id = $3),
             'identities', (SELECT jsonb_agg(to_jsonb(i)) FROM identity i WHERE workspace_id = $1 AND person_id = $3),
             'records', (SELECT jsonb_agg(jsonb_build_array(source_id, record_id)) FROM person_source
                         WHERE workspace_id = $1 AND person_id = $3),
             'consents', (SELECT jsonb_agg(id) FROM consent_event WHERE workspace_id = $1 AND person_id = $3),
             'rollups', (SELECT jsonb_agg(to_jsonb(r)) FROM activity_rollup r WHERE workspace_id = $1 AND person_id = $3))",
    )
    .bind(workspace_id)
    .bind(survivor)
    .bind(loser)
    .bind(now)
    .bind(actor)
    .bind(reason)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves everything that is the loser's to the survivor.
pub async fn move_everything(db: &mut PgConnection, workspace_id: i64, loser: i64, survivor: i64) -> Result<()> {
    for table in MOVED {
        let sql = format!("UPDATE {table} SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2");
        sqlx::query(AssertSqlSafe(sql)).bind(workspace_id).bind(loser).bind(survivor).execute(&mut *db).await?;
    }
    sqlx::query(
        "INSERT INTO activity_rollup (workspace_id, person_id, type, first_at, last_at, total)
         SELECT workspace_id, $3, type, first_at, last_at, total FROM activity_rollup WHERE workspace_id = $1 AND person_id = $2
         ON CONFLICT (workspace_id, person_id, type) DO UPDATE SET first_at = least(activity_rollup.first_at, excluded.first_at),
             last_at = greatest(activity_rollup.last_at, excluded.last_at), total = activity_rollup.total + excluded.total",
    )
    .bind(workspace_id)
    .bind(loser)
    .bind(survivor)
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM activity_rollup WHERE workspace_id = $1 AND person_id = $2")
        .bind(workspace_id)
        .bind(loser)
        .execute(&mut *db)
        .await?;
    super::audience_member::fold(db, workspace_id, loser, survivor).await?;
    super::activation_due::fold(db, workspace_id, loser, survivor).await?;
    move_candidates(db, workspace_id, loser, survivor).await
}

async fn move_candidates(db: &mut PgConnection, workspace_id: i64, loser: i64, survivor: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO merge_candidate (workspace_id, person_id, other_id, reason, source_id, record_id, created_at, dismissed_at)
         SELECT workspace_id, CASE person_id WHEN $2 THEN $3 ELSE person_id END, CASE other_id WHEN $2 THEN $3 ELSE other_id END,
                reason, source_id, record_id, created_at, dismissed_at
         FROM merge_candidate
         WHERE workspace_id = $1 AND (person_id = $2 OR other_id = $2) AND NOT (person_id = $3 OR other_id = $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(loser)
    .bind(survivor)
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM merge_candidate WHERE workspace_id = $1 AND (person_id = $2 OR other_id = $2)")
        .bind(workspace_id)
        .bind(loser)
        .execute(db)
        .await?;
    Ok(())
}

/// An archive wins over a merge (invariant 7), unless the source archived the loser only because the merge deleted its
/// record there; then neither is archived on that account.
pub async fn carry_archive(db: &mut PgConnection, workspace_id: i64, loser: i64, survivor: i64) -> Result<()> {
    sqlx::query(
        "UPDATE person s SET archived_at = a.archived_at, archive_reason = a.archive_reason, delete_after = a.delete_after
         FROM (SELECT max(archived_at) AS archived_at, max(archive_reason) AS archive_reason, min(delete_after) AS delete_after
               FROM person WHERE workspace_id = $1 AND id IN ($2, $3) AND archived_at IS NOT NULL
                 AND archive_reason NOT LIKE 'deleted in %') a
         WHERE s.workspace_id = $1 AND s.id = $3",
    )
    .bind(workspace_id)
    .bind(loser)
    .bind(survivor)
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a former id resolve to the survivor for ever (I9).
pub async fn add_alias(
    db: &mut PgConnection,
    workspace_id: i64,
    alias: i64,
    person: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO person_alias (workspace_id, alias_id, person_id, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (workspace_id, alias_id) DO UPDATE SET person_id = excluded.person_id",
    )
    .bind(workspace_id)
    .bind(alias)
    .bind(person)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Who an id stands for today.
pub async fn resolve(db: &mut PgConnection, workspace_id: i64, id: i64) -> Result<i64> {
    let alias: Option<i64> =
        sqlx::query_scalar("SELECT person_id FROM person_alias WHERE workspace_id = $1 AND alias_id = $2")
            .bind(workspace_id)
            .bind(id)
            .fetch_optional(db)
            .await?;
    Ok(alias.unwrap_or(id))
}

/// Notes pairs that one record matched at once; a pair that is known stays as it is.
pub async fn add_candidates(
    db: &mut PgConnection,
    workspace_id: i64,
    source_id: i64,
    pairs: &[Candidate],
    now: DateTime<Utc>,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO merge_candidate (workspace_id, person_id, other_id, reason, source_id, record_id, created_at)
         SELECT $1, t.person_id, t.other_id, t.reason, $2, t.record_id, $7
         FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[]) AS t(person_id, other_id, reason, record_id)
         ON CONFLICT DO NOTHING",
    )
    .bind(workspace_id)
    .bind(source_id)
    .bind(pairs.iter().map(|pair| pair.person_id).collect::<Vec<_>>())
    .bind(pairs.iter().map(|pair| pair.other_id).collect::<Vec<_>>())
    .bind(pairs.iter().map(|pair| pair.reason.as_str()).collect::<Vec<_>>())
    .bind(pairs.iter().map(|pair| pair.record_id.as_str()).collect::<Vec<_>>())
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// How many rows of each table are a person's.
pub async fn belongings(db: &mut PgConnection, workspace_id: i64, person_id: i64) -> Result<Vec<(String, i64)>> {
    let mut counts = Vec::new();
    for table in MOVED.iter().chain(FOLDED) {
        let sql = format!("SELECT count(*) FROM {table} WHERE workspace_id = $1 AND person_id = $2");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(workspace_id).bind(person_id).fetch_one(&mut *db).await?;
        counts.push((table.to_string(), count));
    }
    Ok(counts)
}

/// Removes everything that is these people's: their rows, and on tickets, which are the account's own, their texts and
/// the link. What remains of a ticket says nothing of a person.
pub async fn remove_belongings(db: &mut PgConnection, workspace_id: i64, person_ids: &[i64]) -> Result<()> {
    sqlx::query(
        "UPDATE ticket SET person_id = NULL, subject = NULL, scrubbed = true, rating_comment = NULL, fields = '{}', unknown = NULL, tags = '{}', external_id = NULL,
             seen = 0
         WHERE workspace_id = $1 AND person_id = ANY($2)",
    )
    .bind(workspace_id)
    .bind(person_ids)
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM merge_candidate WHERE workspace_id = $1 AND other_id = ANY($2)")
        .bind(workspace_id)
        .bind(person_ids)
        .execute(&mut *db)
        .await?;
    for table in MOVED.iter().chain(FOLDED).filter(|table| **table != "ticket") {
        let sql = format!("DELETE FROM {table} WHERE workspace_id = $1 AND person_id = ANY($2)");
        sqlx::query(AssertSqlSafe(sql)).bind(workspace_id).bind(person_ids).execute(&mut *db).await?;
    }
    Ok(())
}
