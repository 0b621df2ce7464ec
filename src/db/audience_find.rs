//! The people for whom a filter holds: one statement over everybody.
//!
//! What must hold of a person's own row is asked first; conditions about what a person has many of (tickets, activities,
//! organizations, audiences) are then joined as a set of people each, so that each is scanned and hashed once whatever
//! the number of people, and only over those who are left.

use super::Result;
use super::audience_filter::{Writer, all_of};
use crate::model::filter::{About, Activity, Asked, Condition, Count, End, Field, Filter, Moment};
use sqlx::{Connection, PgConnection, Row};

/// The people for whom a filter holds, in the order of their ids, among all who are not archived.
pub async fn find(db: &mut PgConnection, workspace_id: i64, filter: &Filter, moment: Moment) -> Result<Vec<i64>> {
    let mut writer = Writer::new(workspace_id, moment);
    let text = statement(&mut writer, filter);
    // Rolled back, so that the settings hold for this statement only.
    let mut tx = db.begin().await?;
    ask_as_a_whole(&mut tx).await?;
    let found = sqlx::query_with(sqlx::AssertSqlSafe(text), writer.arguments()?).persistent(false);
    let mut found: Vec<i64> = found.fetch_all(&mut *tx).await?.iter().map(|row| row.get(0)).collect();
    tx.rollback().await?;
    found.sort_unstable();
    Ok(found)
}

/// Settings for statements over everybody: every table is read as a whole, by several processes where there are some, and
/// hashed. Postgres guesses badly how many have enough of something, and would look up one person after the other.
async fn ask_as_a_whole(db: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "SELECT set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true),
                set_config('parallel_setup_cost', '10', true), set_config('parallel_tuple_cost', '0.001', true)",
    )
    .execute(db)
    .await?;
    Ok(())
}

fn statement(writer: &mut Writer, filter: &Filter) -> String {
    let conditions = filter.conditions();
    let mut must = Vec::new();
    must_hold(filter, &mut must);
    let narrows = |condition: &Condition| must.iter().any(|of| std::ptr::eq(*of, condition));
    let own: Vec<Option<String>> = conditions.iter().map(|condition| writer.person(condition)).collect();
    let is_narrow = conditions.iter().zip(&own).any(|(condition, own)| own.is_some() && narrows(condition));
    let (mut columns, mut left, mut joins, mut answers) = (String::new(), String::new(), String::new(), Vec::new());
    for (n, (condition, own)) in conditions.into_iter().zip(own).enumerate() {
        answers.push(match own {
            Some(own) if narrows(condition) => {
                left += &format!(" AND {own}");
                "true".to_owned()
            }
            Some(own) => {
                columns += &format!(", {own} AS c{n}");
                format!("p.c{n}")
            }
            None => {
                let (set, wanted) = set(writer, condition, is_narrow);
                joins += &format!(" LEFT JOIN ({set}) s{n} ON s{n}.person_id = p.id");
                format!("s{n}.person_id IS {}NULL", if wanted { "NOT " } else { "" })
            }
        });
    }
    let people = format!(
        "p AS MATERIALIZED (SELECT p.id{columns} FROM person p WHERE p.workspace_id = $1 AND p.archived_at IS NULL{left}"
    );
    let holds = holds(filter, &mut answers.into_iter());
    ["WITH ", &people, ") SELECT p.id FROM p", &joins, " WHERE ", &holds].concat()
}

/// The conditions without which nothing else matters.
fn must_hold<'a>(filter: &'a Filter, found: &mut Vec<&'a Condition>) {
    match filter {
        Filter::All(parts) => parts.iter().for_each(|part| must_hold(part, found)),
        Filter::Any(_) => {}
        Filter::Is(condition) => found.push(condition),
    }
}

fn holds(filter: &Filter, answers: &mut impl Iterator<Item = String>) -> String {
    match filter {
        Filter::All(parts) => all_of(parts.iter().map(|part| holds(part, answers)).collect()),
        Filter::Any(parts) if parts.is_empty() => "false".to_owned(),
        Filter::Any(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| holds(part, answers)).collect();
            format!("({})", parts.join(" OR "))
        }
        Filter::Is(_) => answers.next().unwrap_or_default(),
    }
}

/// The set of people that a condition is about, and whether it holds for those in it or for the others.
fn set(writer: &mut Writer, condition: &Condition, is_narrow: bool) -> (String, bool) {
    let zone = writer.zone(condition);
    let of_people = |statement: &str, column: &str| {
        let left = if is_narrow { format!(" AND {column} IN (SELECT id FROM p)") } else { String::new() };
        format!("{statement}{left}")
    };
    match &condition.about {
        About::Person(Field::Summary(summary), test) => {
            let none = test.holds_for_nothing();
            let people = of_people("SELECT person_id FROM support_summary x WHERE workspace_id = $1", "person_id");
            let not = if none { "NOT " } else { "" };
            (format!("{people} AND {not}({})", writer.summary(*summary, test, zone)), !none)
        }
        About::Organization(tests) => {
            let people = of_people(
                "SELECT DISTINCT m.person_id FROM organization_member m
                 JOIN organization x ON x.workspace_id = m.workspace_id AND x.id = m.organization_id WHERE m.workspace_id = $1",
                "m.person_id",
            );
            (format!("{people} AND {}", writer.organization(tests, zone)), true)
        }
        About::Tickets(tests, count) => {
            let people = of_people(
                "SELECT person_id FROM ticket x WHERE workspace_id = $1 AND deleted_at IS NULL AND person_id IS NOT NULL",
                "person_id",
            );
            let tests = writer.ticket(tests, zone);
            (format!("{people} AND {tests}{}", having(writer, *count)), !count.fits(0))
        }
        About::Activity(activity) => {
            let Activity { asked: Asked::Times(count, frame), .. } = activity else {
                return rollup(writer, activity, zone, of_people);
            };
            let people = of_people("SELECT person_id FROM activity x WHERE workspace_id = $1", "person_id");
            let fits = writer.activity(activity, frame.as_ref(), zone);
            (format!("{people} AND {fits}{}", having(writer, *count)), !count.fits(0))
        }
        About::Member { audience, member } => {
            let people = of_people(
                "SELECT x.person_id FROM audience_member x
                 JOIN audience a ON a.workspace_id = x.workspace_id AND a.id = x.audience_id
                 WHERE x.workspace_id = $1 AND x.exited_at IS NULL",
                "x.person_id",
            );
            (format!("{people} AND a.name = {}", writer.bind(audience.clone())), *member)
        }
        About::Person(..) | About::Consent { .. } => (String::new(), true),
    }
}

/// When the first or last one was.
fn rollup(
    writer: &mut Writer,
    activity: &Activity,
    zone: chrono_tz::Tz,
    of_people: impl Fn(&str, &str) -> String,
) -> (String, bool) {
    let Asked::When(end, days) = &activity.asked else { return (String::new(), true) };
    let people = of_people("SELECT person_id FROM activity_rollup x WHERE workspace_id = $1", "person_id");
    let kind = writer.bind(activity.kind.clone());
    let at = if *end == End::First { "x.first_at" } else { "x.last_at" };
    (format!("{people} AND type = {kind} AND {}", writer.time(at, days, zone)), true)
}

/// One row a person whose number fits; where none fits too, those whose number does not.
fn having(writer: &mut Writer, count: Count) -> String {
    let not = if count.fits(0) { "NOT " } else { "" };
    format!(" GROUP BY 1 HAVING {not}{}", writer.fits("count(*)", count))
}
