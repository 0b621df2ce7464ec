//! Who enters and leaves which audience, of those who are to be asked about: what all audiences ask of them is read at
//! once, whatever the number of audiences.

use super::stored::Audience;
use crate::db::{self, audience_find};
use crate::model::audience::{Change, Standing};
use crate::model::filter::{About, Condition, Filter, Moment};
use crate::pipeline::context::FlowError;
use crate::rules::audience::change;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// People read at once.
const CHUNK: usize = 5_000;

/// Who is asked about, by number of the audience.
pub type Asked = BTreeMap<i64, BTreeSet<i64>>;

/// Decides. `audiences` are all there are, each after those that it names: who enters or leaves one is asked about by
/// those made of it.
pub async fn judge(
    db: &mut PgConnection,
    workspace: i64,
    audiences: &[Audience],
    asked: &Asked,
    moment: Moment,
) -> Result<Vec<(i64, Change)>, FlowError> {
    let people: BTreeSet<i64> = asked.values().flatten().copied().collect();
    let people: Vec<i64> = people.into_iter().collect();
    let mut all: BTreeMap<i64, Change> = BTreeMap::new();
    for chunk in people.chunks(CHUNK) {
        let these: BTreeSet<i64> = chunk.iter().copied().collect();
        let asked = asked.iter().map(|(id, people)| (*id, people.intersection(&these).copied().collect()));
        for (id, change) in judge_some(db, workspace, audiences, asked.collect(), chunk, moment).await? {
            let found = all.entry(id).or_default();
            found.enter.extend(change.enter);
            found.leave.extend(change.leave);
            found.later.extend(change.later);
        }
    }
    Ok(all.into_iter().collect())
}

async fn judge_some(
    db: &mut PgConnection,
    workspace: i64,
    audiences: &[Audience],
    mut asked: Asked,
    people: &[i64],
    moment: Moment,
) -> Result<Vec<(i64, Change)>, FlowError> {
    let concerned = concerned(audiences, &asked);
    let questions = Questions::of(&concerned);
    let answers = db::audience_answers::answers(db, workspace, &questions.conditions, people, moment).await?;
    let ids: Vec<i64> = audiences.iter().map(|audience| audience.stored.id).collect();
    let mut standings: HashMap<i64, HashMap<i64, Standing>> = HashMap::new();
    for (id, standing) in db::audience_member::standings(db, workspace, &ids, Some(people)).await? {
        standings.entry(id).or_default().insert(standing.person_id, standing);
    }
    let mut inside: HashMap<&str, HashSet<i64>> = HashMap::new();
    for audience in audiences {
        let of = standings.get(&audience.stored.id).into_iter().flatten();
        let of = of.filter(|(_, standing)| standing.inside).map(|(person, _)| *person);
        inside.insert(audience.stored.name.as_str(), of.collect());
    }
    let mut changes = Vec::new();
    for audience in concerned {
        let people = asked.remove(&audience.stored.id).unwrap_or_default();
        let holding = |filter: &Filter| -> Vec<i64> {
            let holds = |person: &&i64| {
                let Some(answers) = answers.get(*person) else { return false };
                filter.holds(&|condition| match &condition.about {
                    About::Member { audience, member } => {
                        inside.get(audience.as_str()).is_some_and(|all| all.contains(*person)) == *member
                    }
                    _ => questions.answer(condition, answers),
                })
            };
            people.iter().filter(holds).copied().collect()
        };
        let (entry, exit) = (holding(&audience.definition.entry), audience.definition.exit.as_ref().map(holding));
        let of = standings.remove(&audience.stored.id).unwrap_or_default();
        let of: Vec<Standing> = people.iter().filter_map(|person| of.get(person)).cloned().collect();
        let change = change(audience.definition.reentry, &entry, exit.as_deref(), &of, moment.now);
        let members = inside.entry(audience.stored.name.as_str()).or_default();
        members.extend(&change.enter);
        change.leave.iter().for_each(|person| _ = members.remove(person));
        for other in audiences.iter().filter(|other| other.needs(&audience.as_need())) {
            asked.entry(other.stored.id).or_default().extend(change.enter.iter().chain(&change.leave));
        }
        changes.push((audience.stored.id, change));
    }
    Ok(changes)
}

/// Those that ask about somebody, and those made of them, in order.
fn concerned<'a>(audiences: &'a [Audience], asked: &Asked) -> Vec<&'a Audience> {
    let mut found: Vec<&Audience> = Vec::new();
    for audience in audiences {
        let asks = asked.get(&audience.stored.id).is_some_and(|people| !people.is_empty());
        if asks || found.iter().any(|other| audience.needs(&other.as_need())) {
            found.push(audience);
        }
    }
    found
}

/// All conditions of some audiences, the same one once.
struct Questions<'a> {
    conditions: Vec<&'a Condition>,
    /// Where the answer of a condition stands, by its address.
    places: HashMap<usize, usize>,
}

impl<'a> Questions<'a> {
    fn of(audiences: &[&'a Audience]) -> Questions<'a> {
        let (mut conditions, mut places) = (Vec::<&Condition>::new(), HashMap::new());
        let all = audiences.iter().flat_map(|audience| audience.definition.filters()).flat_map(Filter::conditions);
        for condition in all.filter(|condition| !matches!(condition.about, About::Member { .. })) {
            let known = conditions.iter().position(|known| *known == condition);
            let place = known.unwrap_or_else(|| {
                conditions.push(condition);
                conditions.len() - 1
            });
            places.insert(address(condition), place);
        }
        Questions { conditions, places }
    }

    fn answer(&self, condition: &Condition, answers: &[bool]) -> bool {
        let place = self.places.get(&address(condition));
        place.and_then(|place| answers.get(*place)).copied().unwrap_or(false)
    }
}

fn address(condition: &Condition) -> usize {
    std::ptr::from_ref(condition).addr()
}

/// Who would enter and leave an audience now, of all people. Asks everybody.
pub async fn judge_all(
    db: &mut PgConnection,
    workspace: i64,
    audience: &Audience,
    moment: Moment,
) -> Result<Change, FlowError> {
    let definition = &audience.definition;
    let entry = audience_find::find(db, workspace, &definition.entry, moment).await?;
    let exit = match &definition.exit {
        Some(exit) => Some(audience_find::find(db, workspace, exit, moment).await?),
        None => None,
    };
    let standings = db::audience_member::standings(db, workspace, &[audience.stored.id], None).await?;
    let standings: Vec<Standing> = standings.into_iter().map(|(_, standing)| standing).collect();
    Ok(change(definition.reentry, &entry, exit.as_deref(), &standings, moment.now))
}
