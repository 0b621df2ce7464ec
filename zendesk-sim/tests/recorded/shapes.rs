//! Each recorded shape is one that the simulation serves, or a difference that is explained; and what it serves beyond
//! the recordings is in Zendesk's own examples, or explained too.
use crate::corpus::{self, Exchange};
use crate::differences::{BEYOND, Difference, RECORDED_ONLY, Why};
use crate::gather::gather;
use crate::shape::{Keys, Shapes, Years, endpoint};
use std::collections::BTreeSet;

/// Keys that recordings have and the simulation lacks: record, path, type, years.
pub type Lacking = Vec<(String, String, &'static str, Years)>;

fn shapes_of(answers: &[Exchange]) -> Shapes {
    let mut shapes = Shapes::default();
    for answer in answers {
        // Where the request is unknown, the answer's own members tell nothing of an endpoint.
        let name = answer.method.as_deref().map_or_else(|| "?".to_owned(), |method| endpoint(method, &answer.target));
        shapes.add(&name, answer.status.unwrap_or(200), &answer.body, answer.year.unwrap_or(0));
    }
    shapes.0.remove("?");
    shapes
}

/// What the first has and the second has not; a record that is missing whole is one entry.
pub fn lacking(recorded: &Shapes, served: &Shapes) -> Lacking {
    let nothing = Keys::new();
    let mut found = Lacking::new();
    for (record, keys) in &recorded.0 {
        let known = served.0.get(record).unwrap_or(&nothing);
        if known.is_empty() {
            let years = keys.values().flat_map(|types| types.values().flatten().copied()).collect();
            found.push((record.clone(), String::new(), "all", years));
            continue;
        }
        for (path, types) in keys {
            let has = |kind: &str| known.get(path).is_some_and(|types| types.contains_key(kind));
            let new = types.iter().filter(|(kind, _)| !has(kind));
            found.extend(new.map(|(kind, years)| (record.clone(), path.clone(), *kind, years.clone())));
        }
    }
    found
}

/// Holds the list to what is there: nothing unexplained, nothing explained in vain, no reason that is untrue.
fn explained(lacking: &Lacking, list: &[Difference]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for (record, path, kind, years) in lacking {
        let place = list.iter().position(|difference| difference.covers(record, path, kind));
        let Some(place) = place else {
            wrong.push(format!("unexplained: {record} | {path} | {kind} | recorded in {years:?}"));
            continue;
        };
        needed.insert(place);
        let true_of = match list[place].why {
            // The first recording of a kind of account that is still alive is of 2022.
            Why::Old => years.iter().all(|year| *year < 2022) && years.iter().any(|year| *year > 0),
            Why::Edited => years.iter().all(|year| *year == 0),
            Why::Outside | Why::Data => true,
        };
        if !true_of {
            wrong.push(format!("not {:?}: {record} | {path} | {kind} | recorded in {years:?}", list[place].why));
        }
    }
    let vain = list.iter().enumerate().filter(|(place, _)| !needed.contains(place));
    wrong.extend(vain.map(|(_, difference)| format!("no longer needed: {difference:?}")));
    wrong
}

#[tokio::test]
async fn recorded_shapes_are_served() {
    let Some(folder) = corpus::folder() else { return };
    let recorded = shapes_of(&corpus::answers(&folder, false));
    let mut known = shapes_of(&corpus::answers(&folder, true));
    let served = gather().await;
    let mut wrong = explained(&lacking(&recorded, &served), RECORDED_ONLY);
    // The other way only keys count, and only of what was recorded at all.
    for (record, keys) in &served.0 {
        if let Some(known) = known.0.get_mut(record) {
            for (path, types) in keys.iter().filter(|(path, _)| known.contains_key(*path)).collect::<Vec<_>>() {
                known.get_mut(path).expect("it has the key").extend(types.clone());
            }
        }
    }
    let mut beyond = lacking(&served, &known);
    beyond.retain(|(_, path, ..)| !path.is_empty());
    wrong.extend(explained(&beyond, BEYOND));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
