//! Rows that turn out to stand for the same record in Zendesk: none of them is written, and no other after the first.
//!
//! What keys tell is refused when a run is planned. Two addresses of one user, or a key and a known id, show only when Zendesk is
//! read: among the records that are read together, among those of the run, and in what earlier runs wrote.

use super::env::Env;
use super::rows::{self, Scope};
use crate::db;
use crate::db::push_record::Record;
use crate::db::push_run::Run;
use crate::model::push::{Fault, Row, RunKind};
use crate::pipeline::audience::moment;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::Terms;
use std::collections::{BTreeSet, HashMap};

/// Rows that are formed at once.
const PAGE: usize = 1_000;

fn duplicate(words: &str) -> Fault {
    Fault::new("duplicate_record", words)
}

/// Why these records are not written for the sake of another row, by their rows. `ids`: the records in Zendesk that they stand for, as far
/// as those are known.
pub async fn faults<'a>(
    ctx: &Context,
    env: &Env,
    run: &Run,
    terms: &Terms,
    records: &'a [Record],
    ids: &[Option<String>],
) -> Result<HashMap<String, Fault>, FlowError> {
    let none = "several rows of the run stand for the same record in Zendesk; none is written";
    let mut faults: HashMap<String, Fault> = HashMap::new();
    let rows: Vec<&str> = records.iter().map(|record| record.row_key.as_str()).collect();
    let known: Vec<Option<&str>> = ids.iter().map(Option::as_deref).collect();
    let key = |(record, id): (&'a Record, &Option<String>)| record.key_value.as_deref().filter(|_| id.is_none());
    let keys: Vec<Option<&str>> = records.iter().zip(ids).map(key).collect();
    let (of_run, earlier) = {
        let mut db = ctx.pool.acquire().await?;
        let of_run = db::push_twins::of_run(&mut db, env.workspace, run.id, (&rows, &known, &keys)).await?;
        // What a run wrote it may give back, whoever else stands for the record by now.
        let earlier = match run.kind {
            RunKind::Undo => Vec::new(),
            _ => db::push_twins::of_ledger(&mut db, env.workspace, (env.id, env.source.id), (&rows, &known)).await?,
        };
        (of_run, earlier)
    };
    let earlier = earlier.into_iter().filter(|(row, _)| !of_run.contains_key(row)).collect();
    for row in still_there(ctx, env, terms, &rows, &known, earlier).await? {
        let why =
            "another row, which was delivered before, stands for the same record in Zendesk; this one is not written";
        faults.insert(row, duplicate(why));
    }
    for (row, given) in of_run {
        let first = "another row of the run stands for the same record in Zendesk and was delivered before that was known; this \
                     one is not written";
        faults.insert(row, duplicate(if given { first } else { none }));
    }
    for row in together(&rows, &known) {
        faults.entry(row.to_owned()).or_insert_with(|| duplicate(none));
    }
    Ok(faults)
}

/// Rows among these that stand for one record.
fn together<'a>(rows: &[&'a str], ids: &[Option<&str>]) -> BTreeSet<&'a str> {
    let mut first: HashMap<&str, &str> = HashMap::new();
    let mut twins = BTreeSet::new();
    for (row, id) in rows.iter().zip(ids).filter_map(|(row, id)| Some((*row, (*id)?))) {
        let other = *first.entry(id).or_insert(row);
        if other != row {
            twins.extend([other, row]);
        }
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
    earlier: Vec<(String, String)>,
) -> Result<BTreeSet<String>, FlowError> {
    if earlier.is_empty() {
        return Ok(BTreeSet::new());
    }
    let others: BTreeSet<String> = earlier.iter().map(|(_, other)| other.clone()).collect();
    let others: Vec<String> = others.into_iter().collect();
    let mut formed: HashMap<String, Row> = HashMap::new();
    let mut cursor = None;
    loop {
        let mut db = ctx.pool.acquire().await?;
        let page = rows::page(&mut db, env, Scope::Keys(&others), cursor.as_ref(), PAGE, moment(ctx)).await?;
        formed.extend(page.rows.into_iter().map(|row| (row.row_key.clone(), row)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let ids: HashMap<&str, Option<&str>> = rows.iter().copied().zip(ids.iter().copied()).collect();
    let stands = |row: &Row, id: Option<&str>| {
        let is_other = row.record_id.as_deref().is_some_and(|own| Some(own) != id);
        let left = row.wanted.as_ref().is_ok_and(|wanted| terms.is_exit(wanted));
        !is_other && !left
    };
    let holds = |(row, other): &(String, String)| {
        formed.get(other).is_some_and(|other| stands(other, ids.get(row.as_str()).copied().flatten()))
    };
    Ok(earlier.into_iter().filter(holds).map(|(row, _)| row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_of_one_record_are_twins() {
        let check = |pairs: &[(&str, Option<&str>)], expected: &[&str]| {
            let (rows, ids): (Vec<&str>, Vec<Option<&str>>) = pairs.iter().copied().unzip();
            assert_eq!(together(&rows, &ids).into_iter().collect::<Vec<_>>(), expected, "{pairs:?}");
        };
        check(&[("a", Some("1")), ("b", Some("2")), ("c", None), ("d", None)], &[]);
        check(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("d", Some("2"))], &["a", "b", "c"]);
    }
}
