//! Who enters an audience and who leaves it (R8, R56, R57).

use crate::model::audience::{Change, Standing};
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// How long who left stays away (R57).
const AWAY: Duration = Duration::minutes(1);

/// Decides for everybody who is asked about: those for whom the entry filter holds, those for whom the exit filter holds
/// (None: there is no exit filter), and how all who ever had to do with the audience stand to it.
pub fn change(
    reentry: bool,
    entry: &[i64],
    exit: Option<&[i64]>,
    standings: &[Standing],
    now: DateTime<Utc>,
) -> Change {
    let entry: BTreeSet<i64> = entry.iter().copied().collect();
    let exit: Option<BTreeSet<i64>> = exit.map(|exit| exit.iter().copied().collect());
    let leaves = |person: i64| exit.as_ref().is_some_and(|exit| exit.contains(&person));
    let standings: BTreeMap<i64, &Standing> = standings.iter().map(|standing| (standing.person_id, standing)).collect();
    let mut change = Change::default();
    for standing in standings.values() {
        let person = standing.person_id;
        let stays = match &exit {
            Some(_) => !leaves(person),
            None => entry.contains(&person),
        };
        if standing.inside && !(standing.live && standing.manual.unwrap_or(stays)) {
            change.leave.push(person);
        } else if !standing.inside && standing.live && standing.manual == Some(true) {
            change.enter.push(person);
        }
    }
    for person in entry.iter().copied().filter(|person| !leaves(*person)) {
        let Some(standing) = standings.get(&person) else {
            change.enter.push(person);
            continue;
        };
        if standing.inside || standing.manual.is_some() || !standing.live {
            continue;
        }
        match standing.left_at {
            None => change.enter.push(person),
            Some(left_at) if reentry && left_at + AWAY <= now => change.enter.push(person),
            Some(left_at) if reentry => change.later.push((person, left_at + AWAY)),
            Some(_) => {}
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(inside: bool, left: Option<i64>, manual: Option<bool>, live: bool) -> Standing {
        Standing { person_id: 1, inside, left_at: left.map(at), manual, live }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).expect("a time")
    }

    /// Checks what becomes of person 1: `+` enters, `-` leaves, `~` enters later, `.` nothing.
    fn check(reentry: bool, enters: bool, exits: Option<bool>, standing: Option<Standing>, expected: char) {
        let entry: &[i64] = if enters { &[1] } else { &[] };
        let exit = exits.map(|exits| if exits { vec![1] } else { Vec::new() });
        let standings: Vec<Standing> = standing.into_iter().collect();
        let found = change(reentry, entry, exit.as_deref(), &standings, at(0));
        let found = match (found.enter.len(), found.leave.len(), found.later.len()) {
            (1, 0, 0) => '+',
            (0, 1, 0) => '-',
            (0, 0, 1) => '~',
            (0, 0, 0) => '.',
            _ => '?',
        };
        assert_eq!(found, expected, "reentry {reentry} entry {enters} exit {exits:?} {standings:?}");
    }

    #[test]
    fn entering_and_leaving() {
        let inside = || Some(standing(true, None, None, true));
        check(false, true, None, None, '+');
        check(false, false, None, None, '.');
        check(false, true, Some(true), None, '.');
        check(false, true, Some(false), None, '+');
        check(false, true, None, inside(), '.');
        check(false, false, None, inside(), '-');
        check(false, false, Some(false), inside(), '.');
        check(false, true, Some(true), inside(), '-');
        check(false, false, Some(false), Some(standing(true, None, None, false)), '-');
    }

    #[test]
    fn entering_again_r57() {
        check(false, true, None, Some(standing(false, Some(-600), None, true)), '.');
        check(true, true, None, Some(standing(false, Some(-600), None, true)), '+');
        check(true, true, None, Some(standing(false, Some(-60), None, true)), '+');
        check(true, true, None, Some(standing(false, Some(-59), None, true)), '~');
        check(true, true, None, Some(standing(false, Some(-600), None, false)), '.');
    }

    #[test]
    fn by_hand_wins() {
        check(false, false, None, Some(standing(false, None, Some(true), true)), '+');
        check(false, false, None, Some(standing(false, Some(-1), Some(true), true)), '+');
        check(false, false, None, Some(standing(false, None, Some(true), false)), '.');
        check(false, false, None, Some(standing(true, None, Some(true), true)), '.');
        check(false, true, Some(true), Some(standing(true, None, Some(true), true)), '.');
        check(false, true, None, Some(standing(false, None, Some(false), true)), '.');
        check(false, true, None, Some(standing(true, None, Some(false), true)), '-');
        check(false, false, None, Some(standing(true, None, Some(true), false)), '-');
    }
}
