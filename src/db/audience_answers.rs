//! The answers of many conditions for some people: one statement that reads what these people have once, table by table,
//! whatever the number of conditions. Conditions about everybody are asked by `audience_find`.

use super::Result;
use super::audience_filter::Writer;
use crate::model::filter::{About, Activity, Asked, Condition, End, Field, Moment};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::collections::{BTreeSet, HashMap};

/// Conditions asked in one statement.
const CONDITIONS: usize = 500;

/// Whether each condition holds, by person; who is archived or not there is left out. Conditions about audiences are
/// not asked here, and false: who asks knows who is in which.
pub async fn answers(
    db: &mut PgConnection,
    workspace_id: i64,
    conditions: &[&Condition],
    people: &[i64],
    moment: Moment,
) -> Result<HashMap<i64, Vec<bool>>> {
    let mut found: HashMap<i64, Vec<bool>> = HashMap::new();
    // Without a condition, it is still asked who is there.
    for part in conditions.chunks(CONDITIONS).chain(conditions.is_empty().then_some(conditions)) {
        let mut writer = Writer::new(workspace_id, moment);
        writer.bind(people.to_vec());
        let text = Tables::default().statement(&mut writer, part);
        let query = sqlx::query_with(AssertSqlSafe(text), writer.arguments()?).persistent(false);
        for row in query.fetch_all(&mut *db).await? {
            found.entry(row.get("id")).or_default().extend(row.get::<Vec<bool>, _>("answers"));
        }
    }
    Ok(found)
}

/// What is asked of each table: columns of one row a person.
#[derive(Default)]
struct Tables {
    organizations: Vec<String>,
    tickets: Vec<String>,
    rollups: Vec<String>,
    summary: bool,
    /// Activities of frames that begin somewhere, and of others.
    framed: Activities,
    ever: Activities,
}

#[derive(Default)]
struct Activities {
    columns: Vec<String>,
    kinds: BTreeSet<String>,
    earliest: Option<DateTime<Utc>>,
}

impl Tables {
    fn statement(mut self, writer: &mut Writer, conditions: &[&Condition]) -> String {
        let answers: Vec<String> =
            conditions.iter().enumerate().map(|(n, condition)| self.answer(writer, n, condition)).collect();
        let joins = self.joins(writer);
        let answers = answers.join(", ");
        [
            "SELECT",
            &format!(" p.id, ARRAY[{answers}]::boolean[] AS answers FROM person p{joins}"),
            " WHERE p.workspace_id = $1 AND p.archived_at IS NULL AND p.id = ANY ($2)",
        ]
        .concat()
    }

    /// The answer of a condition; what it needs of other tables is noted.
    fn answer(&mut self, writer: &mut Writer, n: usize, condition: &Condition) -> String {
        let zone = writer.zone(condition);
        match &condition.about {
            About::Person(Field::Summary(summary), test) => {
                self.summary = true;
                let (none, test) = (test.holds_for_nothing(), writer.summary(*summary, test, zone));
                format!("CASE WHEN x.person_id IS NULL THEN {none} ELSE {test} END")
            }
            About::Organization(tests) => {
                self.organizations.push(format!("bool_or({}) AS c{n}", writer.organization(tests, zone)));
                format!("coalesce(o.c{n}, false)")
            }
            About::Tickets(tests, count) => {
                self.tickets.push(format!("count(*) FILTER (WHERE {}) AS c{n}", writer.ticket(tests, zone)));
                writer.fits(&format!("coalesce(t.c{n}, 0)"), *count)
            }
            About::Activity(activity) => self.activity(writer, n, activity, zone),
            About::Member { .. } => "false".to_owned(),
            About::Person(..) | About::Consent { .. } => writer.person(condition).unwrap_or_default(),
        }
    }

    fn activity(&mut self, writer: &mut Writer, n: usize, activity: &Activity, zone: chrono_tz::Tz) -> String {
        match &activity.asked {
            Asked::Times(count, frame) => {
                let earliest = writer.earliest(frame.as_ref(), zone);
                let (of, name) = match earliest {
                    Some(_) => (&mut self.framed, "a"),
                    None => (&mut self.ever, "e"),
                };
                let fits = writer.activity(activity, frame.as_ref(), zone);
                of.columns.push(format!("count(*) FILTER (WHERE {fits}) AS c{n}"));
                of.kinds.insert(activity.kind.clone());
                of.earliest = [of.earliest, earliest].into_iter().flatten().min();
                writer.fits(&format!("coalesce({name}.c{n}, 0)"), *count)
            }
            Asked::When(end, days) => {
                let at = if *end == End::First { "x.first_at" } else { "x.last_at" };
                let (kind, at) = (writer.bind(activity.kind.clone()), writer.time(at, days, zone));
                self.rollups.push(format!("bool_or(x.type = {kind} AND {at}) AS c{n}"));
                format!("coalesce(r.c{n}, false)")
            }
        }
    }

    fn joins(self, writer: &mut Writer) -> String {
        let mut all = String::new();
        let mut join = |columns: &[String], name: &str, rows: &str| {
            if !columns.is_empty() {
                let columns = columns.join(", ");
                let rows =
                    format!("(SELECT person_id, {columns} FROM {rows} AND person_id = ANY ($2) GROUP BY person_id)");
                all += &format!(" LEFT JOIN {rows} {name} ON {name}.person_id = p.id");
            }
        };
        join(
            &self.organizations,
            "o",
            "organization_member m JOIN organization x ON x.workspace_id = m.workspace_id AND x.id = m.organization_id
             WHERE m.workspace_id = $1",
        );
        join(&self.tickets, "t", "ticket x WHERE x.workspace_id = $1 AND x.deleted_at IS NULL");
        join(&self.rollups, "r", "activity_rollup x WHERE x.workspace_id = $1");
        let activities = [(self.framed, "a"), (self.ever, "e")];
        for (of, name) in activities.into_iter().filter(|(of, _)| !of.columns.is_empty()) {
            let kinds = writer.bind(of.kinds.into_iter().collect::<Vec<_>>());
            let since = of.earliest.map(|at| format!(" AND x.occurred_at >= {}", writer.bind(at)));
            let rows =
                format!("activity x WHERE x.workspace_id = $1 AND x.type = ANY ({kinds}){}", since.unwrap_or_default());
            join(&of.columns, name, &rows);
        }
        if self.summary {
            let rows = "support_summary WHERE workspace_id = $1 AND person_id = ANY ($2)";
            all += &format!(" LEFT JOIN (SELECT * FROM {rows}) x ON x.person_id = p.id");
        }
        all
    }
}
