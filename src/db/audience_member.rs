//! Tables `audience_member` and `audience_manual`: stays, and who was put in or out by hand.

use super::Result;
use crate::model::audience::{Change, Standing};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Row};

/// How people stand to audiences, by audience: these people, or everybody who ever had to do with them.
pub async fn standings(
    db: &mut PgConnection,
    workspace_id: i64,
    audiences: &[i64],
    people: Option<&[i64]>,
) -> Result<Vec<(i64, Standing)>> {
    let rows = sqlx::query(
        "SELECT s.audience_id, s.person_id, bool_or(s.inside) AS inside, max(s.left_at) AS left_at, bool_or(s.manual) AS manual,
                bool_or(p.id IS NOT NULL) AS live
         FROM (SELECT audience_id, person_id, exited_at IS NULL AS inside, exited_at AS left_at, NULL::boolean AS manual
               FROM audience_member WHERE workspace_id = $1 AND audience_id = ANY($2) AND ($3 OR person_id = ANY($4))
               UNION ALL
               SELECT audience_id, person_id, false, NULL, member
               FROM audience_manual WHERE workspace_id = $1 AND audience_id = ANY($2) AND ($3 OR person_id = ANY($4))) s
         LEFT JOIN person p ON p.workspace_id = $1 AND p.id = s.person_id AND p.archived_at IS NULL
         GROUP BY s.audience_id, s.person_id",
    )
    .bind(workspace_id)
    .bind(audiences)
    .bind(people.is_none())
    .bind(people.unwrap_or_default())
    .fetch_all(db)
    .await?;
    let standing = |row: &sqlx::postgres::PgRow| Standing {
        person_id: row.get("person_id"),
        inside: row.get("inside"),
        left_at: row.get("left_at"),
        manual: row.get("manual"),
        live: row.get("live"),
    };
    Ok(rows.iter().map(|row| (row.get("audience_id"), standing(row))).collect())
}

/// Writes who enters and who leaves which audience. Who is not there any more does not enter.
pub async fn write(
    db: &mut PgConnection,
    workspace_id: i64,
    changes: &[(i64, Change)],
    now: DateTime<Utc>,
) -> Result<()> {
    let pairs = |of: fn(&Change) -> &Vec<i64>| -> (Vec<i64>, Vec<i64>) {
        changes.iter().flat_map(|(id, change)| of(change).iter().map(|person| (*id, *person))).unzip()
    };
    let (audiences, people) = pairs(|change| &change.leave);
    if !people.is_empty() {
        sqlx::query(
            "UPDATE audience_member m SET exited_at = greatest($4, m.entered_at)
             FROM unnest($2::bigint[], $3::bigint[]) AS t(audience_id, person_id)
             WHERE m.workspace_id = $1 AND m.audience_id = t.audience_id AND m.person_id = t.person_id AND m.exited_at IS NULL",
        )
        .bind(workspace_id)
        .bind(audiences)
        .bind(people)
        .bind(now)
        .execute(&mut *db)
        .await?;
    }
    let (audiences, people) = pairs(|change| &change.enter);
    if !people.is_empty() {
        sqlx::query(
            "INSERT INTO audience_member (workspace_id, audience_id, person_id, entered_at)
             SELECT $1, t.audience_id, p.id, $4 FROM unnest($2::bigint[], $3::bigint[]) AS t(audience_id, person_id)
             JOIN person p ON p.workspace_id = $1 AND p.id = t.person_id AND p.archived_at IS NULL
             ON CONFLICT DO NOTHING",
        )
        .bind(workspace_id)
        .bind(audiences)
        .bind(people)
        .bind(now)
        .execute(db)
        .await?;
    }
    Ok(())
}

/// Puts a person in or out by hand; None leaves it to the filter again.
pub async fn set_manual(
    db: &mut PgConnection,
    workspace_id: i64,
    (audience_id, person_id): (i64, i64),
    member: Option<bool>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("DELETE FROM audience_manual WHERE workspace_id = $1 AND audience_id = $2 AND person_id = $3")
        .bind(workspace_id)
        .bind(audience_id)
        .bind(person_id)
        .execute(&mut *db)
        .await?;
    let Some(member) = member else { return Ok(()) };
    sqlx::query(
        "INSERT INTO audience_manual (workspace_id, audience_id, person_id, member, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(workspace_id)
    .bind(audience_id)
    .bind(person_id)
    .bind(member)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// How many are in each audience, and how many ever left: number of the audience, members, past stays.
pub async fn counts(db: &mut PgConnection, workspace_id: i64) -> Result<Vec<(i64, i64, i64)>> {
    sqlx::query_as(
        "SELECT audience_id, count(*) FILTER (WHERE exited_at IS NULL), count(*) FILTER (WHERE exited_at IS NOT NULL)
         FROM audience_member WHERE workspace_id = $1 GROUP BY audience_id",
    )
    .bind(workspace_id)
    .fetch_all(db)
    .await
}

/// A member, or who was one.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "as in `person` and `audience_member`")]
pub struct Member {
    pub person_id: i64,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub entered_at: DateTime<Utc>,
    pub exited_at: Option<DateTime<Utc>>,
    pub manual: Option<bool>,
}

/// Who was in an audience at a time, after the person of that number, in the order of their numbers.
pub async fn at(
    db: &mut PgConnection,
    workspace_id: i64,
    audience_id: i64,
    at: DateTime<Utc>,
    after: i64,
    limit: i64,
) -> Result<Vec<Member>> {
    sqlx::query_as(
        "SELECT m.person_id, p.first_name, p.last_name, p.email, m.entered_at, m.exited_at, h.member AS manual
         FROM audience_member m
         LEFT JOIN person p ON p.workspace_id = m.workspace_id AND p.id = m.person_id
         LEFT JOIN audience_manual h ON h.workspace_id = m.workspace_id AND h.audience_id = m.audience_id AND h.person_id = m.person_id
         WHERE m.workspace_id = $1 AND m.audience_id = $2 AND m.person_id > $4
           AND m.entered_at <= $3 AND (m.exited_at IS NULL OR m.exited_at > $3)
         ORDER BY m.person_id LIMIT $5",
    )
    .bind(workspace_id)
    .bind(audience_id)
    .bind(at)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Who is in an audience, by number.
pub async fn inside(db: &mut PgConnection, workspace_id: i64, audience_id: i64) -> Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT person_id FROM audience_member WHERE workspace_id = $1 AND audience_id = $2 AND exited_at IS NULL ORDER BY person_id",
    )
    .bind(workspace_id)
    .bind(audience_id)
    .fetch_all(db)
    .await
}

/// Names of the audiences that a person is in.
pub async fn names(db: &mut PgConnection, workspace_id: i64, person_id: i64) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT a.name FROM audience_member m JOIN audience a ON a.workspace_id = m.workspace_id AND a.id = m.audience_id
         WHERE m.workspace_id = $1 AND m.person_id = $2 AND m.exited_at IS NULL ORDER BY a.name",
    )
    .bind(workspace_id)
    .bind(person_id)
    .fetch_all(db)
    .await
}

/// Gives the stays of one who is merged away to the survivor. Where both are in, the longer stay goes on.
pub async fn fold(db: &mut PgConnection, workspace_id: i64, loser: i64, survivor: i64) -> Result<()> {
    for sql in [
        "DELETE FROM audience_member m USING audience_member o
         WHERE m.workspace_id = $1 AND o.workspace_id = $1 AND m.audience_id = o.audience_id AND m.exited_at IS NULL AND o.exited_at IS NULL
           AND (m.person_id = $2 AND o.person_id = $3 AND m.entered_at >= o.entered_at
                OR m.person_id = $3 AND o.person_id = $2 AND m.entered_at > o.entered_at)",
        "DELETE FROM audience_member m USING audience_member o
         WHERE m.workspace_id = $1 AND o.workspace_id = $1 AND m.audience_id = o.audience_id AND m.entered_at = o.entered_at
           AND m.person_id = $2 AND o.person_id = $3 AND m.exited_at IS NOT NULL",
        "DELETE FROM audience_member m USING audience_member o
         WHERE m.workspace_id = $1 AND o.workspace_id = $1 AND m.audience_id = o.audience_id AND m.entered_at = o.entered_at
           AND m.person_id = $3 AND o.person_id = $2",
        "UPDATE audience_member SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM audience_manual m USING audience_manual o
         WHERE m.workspace_id = $1 AND o.workspace_id = $1 AND m.audience_id = o.audience_id AND m.person_id = $2 AND o.person_id = $3",
        "UPDATE audience_manual SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2",
    ] {
        sqlx::query(sql).bind(workspace_id).bind(loser).bind(survivor).execute(&mut *db).await?;
    }
    Ok(())
}
