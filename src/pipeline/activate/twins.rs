//! Rows that turn out to stand for the same record in Zendesk: none of them is written, and no other after the first.
//!
//! What keys tell is refused when a run is planned. Two addresses of one user, or a key and a known id, show only when Zendesk is
//! read: among the records that are read together, among those of the run, and in what earlier runs wrote. A row that only says
//! that somebody left gives way to one who is there, who takes over what the ledger knows of the record.

use super::again;
use super::env::Env;
use crate::db;
use crate::db::push_record::Record;
use crate::db::push_run::Run;
use crate::model::push::{Row, RunKind, Wanted};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::Terms;
use std::collections::{BTreeSet, HashMap, HashSet};

const NONE: &str = "several rows of the run stand for the same record in Zendesk; none is written";
const FIRST: &str = "another row of the run stands for the same record in Zendesk and was delivered before that was known; this \
                     one is not written";
const EARLIER: &str =
    "another row, which was delivered before, stands for the same record in Zendesk; this one is not written";

/// What another row means for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Twin {
    /// For its sake the row is not written; why.
    Refused(&'static str),
    /// The row only leaves the record, for which the other stands by now.
    Replaced,
    /// The other, which this names, gave way: what the ledger knows of the record is the row's from now on.
    GaveWay(String),
}

impl Twin {
    /// What two rows are to one of them that `leaves`, when the other does or does not.
    fn beside(leaves: bool, other_leaves: bool, why: &'static str) -> Option<Twin> {
        match (leaves, other_leaves) {
            (true, false) => Some(Twin::Replaced),
            (false, true) => None,
            _ => Some(Twin::Refused(why)),
        }
    }
}

/// What others mean for these records, by their rows. `ids`: the records in Zendesk that they stand for, as far as those are known.
pub async fn twins(
    ctx: &Context,
    env: &Env,
    run: &Run,
    terms: &Terms,
    records: &[Record],
    ids: &[Option<String>],
) -> Result<HashMap<String, Twin>, FlowError> {
    let undoes = run.kind == RunKind::Undo;
    // What a run wrote is given back whoever stands for it by now. A row at fault wants nothing, and so leaves nothing.
    let leaves = |wanted: &Wanted| !undoes && *wanted != Wanted::default() && terms.is_exit(wanted);
    let rows: Vec<&str> = records.iter().map(|record| record.row_key.as_str()).collect();
    let leaving = records.iter().filter(|record| leaves(&record.wanted)).map(|record| record.row_key.as_str());
    let leaving: HashSet<&str> = leaving.collect();
    let known: Vec<Option<&str>> = ids.iter().map(Option::as_deref).collect();
    let keys = records.iter().zip(ids).map(|(record, id)| record.key_value.as_deref().filter(|_| id.is_none()));
    let keys: Vec<Option<&str>> = keys.collect();
    let (of_run, mut earlier) = {
        let mut db = ctx.pool.acquire().await?;
        let of_run = db::push_twins::of_run(&mut db, env.workspace, run.id, (&rows, &known, &keys)).await?;
        let ledger = (env.id, env.source.id);
        let earlier = match undoes {
            true => Vec::new(),
            false => db::push_twins::of_ledger(&mut db, env.workspace, ledger, (&rows, &known)).await?,
        };
        (of_run, earlier)
    };
    let mut twins: HashMap<String, Twin> = HashMap::new();
    // Of several others those count that are there, and before those what was delivered.
    let mut others: Vec<(String, bool, bool)> =
        of_run.into_iter().map(|(row, given, wanted)| (row, leaves(&wanted), given)).collect();
    others.sort_by_key(|(_, other_leaves, given)| (*other_leaves, !*given));
    for (row, other_leaves, given) in others {
        if let Some(twin) = Twin::beside(leaving.contains(row.as_str()), other_leaves, if given { FIRST } else { NONE })
        {
            twins.entry(row).or_insert(twin);
        }
    }
    for (row, twin) in together(&rows, &known, &leaving) {
        twins.entry(row.to_owned()).or_insert(twin);
    }
    earlier.retain(|(row, _)| !twins.contains_key(row));
    let still_there = still_there(ctx, env, terms, &rows, &known, &earlier).await?;
    for (row, other) in earlier {
        let twin = match (still_there.contains(&row), leaving.contains(row.as_str())) {
            (true, leaves) => Twin::beside(leaves, false, EARLIER),
            (false, true) => None,
            (false, false) => Some(Twin::GaveWay(other)),
        };
        twins.extend(twin.map(|twin| (row, twin)));
    }
    Ok(twins)
}

/// Rows among these that stand for one record.
fn together<'a>(rows: &[&'a str], ids: &[Option<&'a str>], leaving: &HashSet<&str>) -> Vec<(&'a str, Twin)> {
    let mut of_record: HashMap<&str, Vec<&str>> = HashMap::new();
    for (row, id) in rows.iter().zip(ids).filter_map(|(row, id)| Some((*row, (*id)?))) {
        of_record.entry(id).or_default().push(row);
    }
    let mut twins = Vec::new();
    for rows in of_record.into_values().filter(|rows| rows.len() > 1) {
        let there = rows.iter().filter(|row| !leaving.contains(*row)).count();
        twins.extend(rows.into_iter().filter_map(|row| {
            let leaves = leaving.contains(row);
            Some((row, Twin::beside(leaves, there == usize::from(!leaves), NONE)?))
        }));
    }
    twins
}

/// Rows whose record was written for another row that is still there and still stands for it: what is gone, or only says that
/// somebody left, gives way. `earlier` has rows, each with another that the ledger knows for its record.
async fn still_there(
    ctx: &Context,
    env: &Env,
    terms: &Terms,
    rows: &[&str],
    ids: &[Option<&str>],
    earlier: &[(String, String)],
) -> Result<BTreeSet<String>, FlowError> {
    if earlier.is_empty() {
        return Ok(BTreeSet::new());
    }
    let others: BTreeSet<String> = earlier.iter().map(|(_, other)| other.clone()).collect();
    let others: Vec<String> = others.into_iter().collect();
    let formed = again::rows(ctx, &mut *ctx.pool.acquire().await?, env, &others).await?;
    let ids: HashMap<&str, Option<&str>> = rows.iter().copied().zip(ids.iter().copied()).collect();
    let stands = |row: &Row, id: Option<&str>| {
        let is_other = row.record_id.as_deref().is_some_and(|own| Some(own) != id);
        let left = row.wanted.as_ref().is_ok_and(|wanted| terms.is_exit(wanted));
        !is_other && !left
    };
    let holds = |(row, other): &&(String, String)| {
        formed.get(other).is_some_and(|other| stands(other, ids.get(row.as_str()).copied().flatten()))
    };
    Ok(earlier.iter().filter(holds).map(|(row, _)| row.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_of_one_record_are_twins_but_who_leaves_gives_way() {
        let check = |rows: &[(&str, Option<&str>, bool)], expected: &[(&str, Twin)]| {
            let keys: Vec<&str> = rows.iter().map(|row| row.0).collect();
            let ids: Vec<Option<&str>> = rows.iter().map(|row| row.1).collect();
            let leaving: HashSet<&str> = rows.iter().filter(|row| row.2).map(|row| row.0).collect();
            let mut found = together(&keys, &ids, &leaving);
            found.sort_by_key(|(row, _)| *row);
            assert_eq!(found, expected, "{rows:?}");
        };
        let refused = |row| (row, Twin::Refused(NONE));
        check(&[("a", Some("1"), false), ("b", Some("2"), true), ("c", None, false), ("d", None, true)], &[]);
        let three =
            [("a", Some("1"), false), ("b", Some("1"), false), ("c", Some("1"), false), ("d", Some("2"), false)];
        check(&three, &[refused("a"), refused("b"), refused("c")]);
        check(&[("a", Some("1"), true), ("b", Some("1"), false)], &[("a", Twin::Replaced)]);
        check(&[("a", Some("1"), true), ("b", Some("1"), true)], &[refused("a"), refused("b")]);
        let both = [("a", Some("1"), true), ("b", Some("1"), false), ("c", Some("1"), false)];
        check(&both, &[("a", Twin::Replaced), refused("b"), refused("c")]);
    }
}
