//! The people for whom a filter holds, among everybody.
//!
//! What must hold of a person's own row is asked first. Conditions about what a person has many of (tickets, activities,
//! organizations, audiences) are then joined as a set of people each, so that each is scanned and hashed once whatever
//! the number of people, and only over those who are left: they are told as a bit each, which every process of Postgres looks
//! up as it reads. A join with them would be the work of one process.

use super::Result;
use super::audience_filter::{Writer, all_of, is_own};
use crate::model::filter::{About, Activity, Asked, Condition, Count, End, Field, Filter, Moment};
use sqlx::{Connection, PgConnection, Row};

/// How far apart the first and the last of those who are left may be: two megabytes of bits.
const SPAN: i64 = 1 << 24;

/// The people for whom a filter holds, in the order of their ids, among all who are not archived.
pub async fn find(db: &mut PgConnection, workspace_id: i64, filter: &Filter, moment: Moment) -> Result<Vec<i64>> {
    let writer = || Writer::new(workspace_id, moment);
    // Rolled back, so that the settings hold for these statements only.
    let mut tx = db.begin().await?;
    ask_as_a_whole(&mut tx).await?;
    let mut first = writer();
    let found = match left(&mut first, filter) {
        None => ask(&mut tx, writer(), filter, None).await?,
        Some(left) => {
            let people = format!("{PRESENT}{left}");
            let people = people_of(&mut tx, people, first).await?;
            match Bits::of(&people) {
                _ if people.is_empty() => people,
                bits => ask(&mut tx, writer(), filter, bits).await?,
            }
        }
    };
    tx.rollback().await?;
    Ok(found)
}

async fn ask(db: &mut PgConnection, mut writer: Writer, filter: &Filter, bits: Option<Bits>) -> Result<Vec<i64>> {
    let text = statement(&mut writer, filter, bits);
    people_of(db, text, writer).await
}

/// The people that a statement gives, in the order of their ids.
async fn people_of(db: &mut PgConnection, statement: String, writer: Writer) -> Result<Vec<i64>> {
    let found = sqlx::query_with(sqlx::AssertSqlSafe(statement), writer.arguments()?).persistent(false);
    let mut found: Vec<i64> = found.fetch_all(db).await?.iter().map(|row| row.get(0)).collect();
    found.sort_unstable();
    Ok(found)
}

/// Some people, a bit each.
struct Bits {
    first: i64,
    last: i64,
    bytes: Vec<u8>,
}

impl Bits {
    /// People in the order of their ids; None where there are none, or where they lie too far apart.
    fn of(people: &[i64]) -> Option<Bits> {
        let (first, last) = (*people.first()?, *people.last()?);
        let span = last.checked_sub(first).filter(|span| *span < SPAN)?;
        let mut bytes = vec![0; (span / 8 + 1) as usize];
        for person in people {
            let at = (person - first) as usize;
            bytes[at / 8] |= 1 << (at % 8);
        }
        Some(Bits { first, last, bytes })
    }

    /// Whether a column has one of them, as SQL.
    fn test(self, writer: &mut Writer) -> impl Fn(&str) -> String + use<> {
        let [first, last] = [self.first, self.last].map(|id| writer.bind(id));
        let bytes = writer.bind(self.bytes);
        // Outside of them get_bit fails.
        move |id| {
            format!(
                "CASE WHEN {id} BETWEEN {first} AND {last} THEN get_bit({bytes}, {id} - {first}) = 1 ELSE false END"
            )
        }
    }
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

/// Everybody who is there.
const PRESENT: &str = "SELECT p.id FROM person p WHERE p.workspace_id = $1 AND p.archived_at IS NULL";

/// What must hold of a person's own row; None when nothing must, or when there is nothing else to be asked.
fn left(writer: &mut Writer, filter: &Filter) -> Option<String> {
    let mut must = Vec::new();
    must_hold(filter, &mut must);
    let own: Vec<String> = must.into_iter().filter_map(|condition| writer.person(condition)).collect();
    let has_sets = filter.conditions().into_iter().any(|condition| !is_own(condition));
    (has_sets && !own.is_empty()).then(|| own.iter().map(|own| format!(" AND {own}")).collect())
}

/// The statement that asks everybody; with `bits` only these, of whom is known that what must hold of their own rows does.
fn statement(writer: &mut Writer, filter: &Filter, bits: Option<Bits>) -> String {
    let mut must = Vec::new();
    must_hold(filter, &mut must);
    let narrows = |condition: &Condition| is_own(condition) && must.iter().any(|of| std::ptr::eq(*of, condition));
    let conditions = filter.conditions();
    let is_narrow = conditions.iter().any(|condition| narrows(condition));
    let test = bits.map(|bits| bits.test(writer));
    let only = |id: &str| match &test {
        Some(test) => format!(" AND {}", test(id)),
        None if is_narrow => format!(" AND {id} IN (SELECT id FROM p)"),
        None => String::new(),
    };
    let mut left = test.as_ref().map(|_| only("p.id")).unwrap_or_default();
    let (mut columns, mut joins, mut answers) = (String::new(), String::new(), Vec::new());
    for (n, condition) in conditions.into_iter().enumerate() {
        answers.push(match narrows(condition) {
            true if test.is_some() => "true".to_owned(),
            narrows => match writer.person(condition) {
                Some(own) if narrows => {
                    left += &format!(" AND {own}");
                    "true".to_owned()
                }
                Some(own) => {
                    columns += &format!(", {own} AS c{n}");
                    format!("p.c{n}")
                }
                None => {
                    let (set, wanted) = set(writer, condition, &only);
                    joins += &format!(" LEFT JOIN ({set}) s{n} ON s{n}.person_id = p.id");
                    format!("s{n}.person_id IS {}NULL", if wanted { "NOT " } else { "" })
                }
            },
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

/// The set of people that a condition is about, and whether it holds for those in it or for the others. `only`: what a column with
/// people is to pass, as SQL.
fn set(writer: &mut Writer, condition: &Condition, only: &impl Fn(&str) -> String) -> (String, bool) {
    let zone = writer.zone(condition);
    let of_people = |statement: &str, column: &str| format!("{statement}{}", only(column));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_as_a_bit_each() {
        let check = |people: &[i64], expected: Option<(i64, i64, &[u8])>| {
            let bits = Bits::of(people);
            assert_eq!(bits.as_ref().map(|bits| (bits.first, bits.last, &*bits.bytes)), expected, "{people:?}");
        };
        check(&[], None);
        check(&[7], Some((7, 7, &[1])));
        check(&[7, 8, 14, 15, 30], Some((7, 30, &[0b1000_0011, 0b0000_0001, 0b1000_0000])));
        check(&[1, SPAN], Some((1, SPAN, &[&[1][..], &vec![0; SPAN as usize / 8 - 2], &[0b1000_0000]].concat())));
        check(&[0, SPAN], None);
        check(&[i64::MIN, i64::MAX], None);
    }
}
