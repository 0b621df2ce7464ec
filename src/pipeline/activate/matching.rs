//! Which result of a job belongs to which record. Pure.

use crate::db::push_record::Record;
use crate::zendesk::decode::JobRow;
use serde_json::Value;
use std::collections::HashMap;

/// By what a record of a call may be known again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// Its place in the call.
    pub index: Option<usize>,
    /// Its id in Zendesk.
    pub id: Option<String>,
    /// Its external id or address, in small letters: what finds it, or what it is given.
    pub words: Vec<String>,
}

impl Marks {
    /// The marks of a record.
    pub fn of(record: &Record) -> Marks {
        let given = record.changes.iter().flat_map(|changes| {
            ["external_id", "email"].into_iter().filter_map(|name| changes.values.get(name).and_then(Value::as_str))
        });
        let words = record.key_value.as_deref().into_iter().chain(given).map(str::to_lowercase).collect();
        let index = record.job_index.and_then(|index| usize::try_from(index).ok());
        Marks { index, id: record.record_id.clone(), words }
    }
}

/// For each record its result: by its id, by its place, by its external id or address. What fits none is left out, and so is a
/// second result for the same record.
pub fn matching<'a>(records: &[Marks], rows: &'a [JobRow]) -> Vec<Option<&'a JobRow>> {
    let mut found: Vec<Option<&JobRow>> = vec![None; records.len()];
    let mut ids: HashMap<&str, usize> = HashMap::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut words: HashMap<&str, usize> = HashMap::new();
    for (at, marks) in records.iter().enumerate() {
        ids.extend(marks.id.as_deref().map(|id| (id, at)));
        places.extend(marks.index.map(|index| (index, at)));
        words.extend(marks.words.iter().map(|word| (word.as_str(), at)));
    }
    for row in rows {
        let by_id = row.id.as_deref().and_then(|id| ids.get(id));
        let by_place = row.index.and_then(|index| places.get(&index));
        let by_word = || {
            let said = [row.external_id.as_deref(), row.email.as_deref()].into_iter().flatten();
            said.map(str::to_lowercase).find_map(|word| words.get(word.as_str()))
        };
        let Some(at) = by_id.or(by_place).or_else(by_word) else { continue };
        // A place that is another record's by its id is no place at all.
        let is_others = row.id.is_some() && records[*at].id.is_some() && records[*at].id != row.id;
        if !is_others && found[*at].is_none() {
            found[*at] = Some(row);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: Option<usize>, id: Option<&str>, word: Option<&str>) -> JobRow {
        JobRow {
            index,
            id: id.map(str::to_owned),
            external_id: word.map(str::to_owned),
            success: true,
            ..JobRow::default()
        }
    }

    #[test]
    fn results_find_their_records() {
        let marks = |index: usize, id: Option<&str>, word: &str| Marks {
            index: Some(index),
            id: id.map(str::to_owned),
            words: vec![word.to_owned()],
        };
        let known = [marks(0, Some("10"), "a"), marks(1, Some("11"), "b"), marks(2, Some("12"), "c")];
        let new = [marks(0, None, "a"), marks(1, None, "b"), marks(2, None, "c")];
        let check = |records: &[Marks], rows: &[JobRow], expected: [Option<usize>; 3]| {
            let found: Vec<Option<usize>> = matching(records, rows)
                .into_iter()
                .map(|found| found.and_then(|found| rows.iter().position(|row| std::ptr::eq(row, found))))
                .collect();
            assert_eq!(found, expected, "{rows:?}");
        };
        check(&known, &[row(None, Some("12"), None), row(None, Some("10"), None)], [Some(1), None, Some(0)]);
        check(&known, &[row(Some(0), Some("12"), None)], [None, None, Some(0)]);
        check(&known, &[row(Some(1), None, None)], [None, Some(0), None]);
        check(&known, &[row(Some(1), Some("99"), None)], [None, None, None]);
        check(&new, &[row(Some(2), Some("50"), None), row(Some(0), Some("51"), None)], [Some(1), None, Some(0)]);
        check(&new, &[row(None, Some("50"), Some("B"))], [None, Some(0), None]);
        check(&new, &[row(None, Some("50"), None), row(Some(7), None, None)], [None, None, None]);
        check(&known, &[row(None, Some("10"), None), row(None, Some("10"), None)], [Some(0), None, None]);
    }
}
