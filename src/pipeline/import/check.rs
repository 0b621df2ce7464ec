//! The first reading of a file, before anything is written: what is good, what is bad, which rows are the same record.

use super::record::{self, Reading, Records};
use super::rows::{Fault, How, Item, ReadError, Rows};
use super::watch::{ImportError, Step, Watcher};
use crate::model::organization::OrganizationRecord;
use crate::model::record::digest;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::SystemTime;

/// The most rows among which the same records are looked for: 16 bytes each.
const MAX_COMPARED: usize = 4_000_000;

/// The most organizations that are put together from their rows before any is written.
const MAX_ORGANIZATIONS: usize = 100_000;

/// Bytes read from the file at a time.
const BUFFER: usize = 256 * 1024;

/// A file, and how it is read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file.
    pub path: PathBuf,
    /// How it is taken apart.
    pub how: How,
    /// How its rows are read.
    pub reading: Reading,
}

/// What the first reading found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Rows, bad ones too.
    pub rows: u64,
    /// Rows that cannot be applied.
    pub bad: u64,
    /// Rows that are applied without a part that cannot be used.
    pub noted: u64,
    /// Rows whose record stands, with other values, in a later row, which wins.
    pub duplicates: u64,
    /// Activities.
    pub activities: u64,
    /// Columns of a CSV file and what each means.
    pub columns: Vec<(String, String)>,
    /// Size of the file.
    pub size: u64,
    /// Rows of which only the activities count: a later row is the same record.
    pub(super) superseded: Bits,
    /// Those among them that say something else than the later row.
    pub(super) differing: Bits,
    /// Superseded rows that have activities.
    pub(super) left_over: u64,
    /// Organizations, each put together from all its rows.
    pub(super) organizations: HashMap<String, OrganizationRecord>,
    modified: Option<SystemTime>,
}

/// A set of small numbers.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    /// Is the number in the set?
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// The file's rows, one after another: the good ones numbered from 0, the bad ones told to `bad`.
pub(super) struct Reader<'a> {
    rows: Rows<BufReader<File>>,
    reading: &'a Reading,
    next: u64,
}

/// A row that was read.
pub(super) enum Next {
    /// A good one, with its number.
    Good(u64, Box<Records>),
    /// One that cannot be applied.
    Bad(Fault),
    /// The file has ended.
    End,
}

impl Plan {
    /// Opens the file.
    pub(super) fn open(&self) -> Result<Reader<'_>, ReadError> {
        let rows = Rows::new(BufReader::with_capacity(BUFFER, File::open(&self.path)?), self.how.clone())?;
        Ok(Reader { rows, reading: &self.reading, next: 0 })
    }

    /// Fails when the file is no longer what was checked.
    pub(super) fn unchanged(&self, checked: &Checked) -> Result<(), ImportError> {
        let found = std::fs::metadata(&self.path).map_err(ReadError::Io)?;
        match found.len() == checked.size && found.modified().ok() == checked.modified {
            true => Ok(()),
            false => Err(ImportError::Changed),
        }
    }
}

impl Reader<'_> {
    /// The next row.
    pub(super) fn advance(&mut self) -> Result<Next, ReadError> {
        Ok(match self.rows.advance()? {
            Item::End => Next::End,
            Item::Bad(fault) => Next::Bad(fault),
            Item::Row(row) => match record::read(row, self.reading) {
                Err(fault) => Next::Bad(fault),
                Ok(records) => {
                    self.next += 1;
                    Next::Good(self.next - 1, Box::new(records))
                }
            },
        })
    }

    /// Bytes taken from the file.
    pub(super) fn bytes(&self) -> u64 {
        self.rows.bytes()
    }
}

/// Reads the file to its end. Faults go to the watcher, nothing to the database. Blocks.
pub fn check(plan: &Plan, watcher: &dyn Watcher) -> Result<Checked, ImportError> {
    let found = std::fs::metadata(&plan.path).map_err(ReadError::Io)?;
    let mut checked = Checked { size: found.len(), modified: found.modified().ok(), ..Checked::default() };
    let mut reader = plan.open()?;
    checked.columns = reader.rows.columns();
    let mut prints = Vec::new();
    let mut active = Bits::default();
    loop {
        match reader.advance()? {
            Next::End => break,
            Next::Bad(fault) => {
                checked.bad += 1;
                watcher.fault(&fault);
            }
            Next::Good(number, records) => {
                checked.noted += u64::from(!records.faults.is_empty());
                records.faults.iter().for_each(|fault| watcher.fault(fault));
                checked.activities += records.activities.len() as u64;
                if prints.len() < MAX_COMPARED {
                    if !records.activities.is_empty() {
                        active.insert(number as usize);
                    }
                    prints.push(Print::of(&records, number as u32));
                }
                if let Some(organization) = records.organization {
                    gather(&mut checked.organizations, organization);
                }
            }
        }
        checked.rows += 1;
        if checked.rows.is_multiple_of(1_000) {
            watcher.progress(Step::Check, reader.bytes(), checked.rows);
        }
    }
    if checked.rows - checked.bad > prints.len() as u64 {
        tracing::warn!(compared = prints.len(), "rows of the same record are looked for among the first rows only");
    }
    compare(prints, &active, &mut checked);
    plan.unchanged(&checked)?;
    Ok(checked)
}

/// Who a row is and what it says, in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Print {
    record: i64,
    number: u32,
    content: u32,
}

impl Print {
    fn of(records: &Records, number: u32) -> Print {
        let record = digest(&records.person.record_id, 0);
        Print { record, number, content: digest(&records.person, 0) as u32 }
    }
}

/// Finds the rows of the same record: the last wins.
fn compare(mut prints: Vec<Print>, active: &Bits, checked: &mut Checked) {
    prints.sort_unstable();
    for same in prints.chunk_by(|a, b| a.record == b.record) {
        let [earlier @ .., last] = same else { continue };
        for print in earlier {
            checked.superseded.insert(print.number as usize);
            checked.left_over += u64::from(active.contains(u64::from(print.number)));
            if print.content != last.content {
                checked.differing.insert(print.number as usize);
                checked.duplicates += 1;
            }
        }
    }
}

/// An organization is what its rows say together; a later row has the last word.
fn gather(organizations: &mut HashMap<String, OrganizationRecord>, found: OrganizationRecord) {
    if let Some(known) = organizations.get_mut(&found.record_id) {
        known.name = found.name.or(known.name.take());
        known.external_id = found.external_id.or(known.external_id.take());
        known.domains.extend(found.domains);
        known.domains.sort_unstable();
        known.domains.dedup();
    } else if organizations.len() < MAX_ORGANIZATIONS {
        organizations.insert(found.record_id.clone(), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(record: i64, number: u32, content: u32) -> Print {
        Print { record, number, content }
    }

    #[test]
    fn the_last_row_of_a_record_wins() {
        let mut active = Bits::default();
        active.insert(64);
        let mut checked = Checked::default();
        let prints = vec![print(1, 0, 5), print(2, 1, 5), print(1, 64, 6), print(1, 70, 5), print(2, 3, 5)];
        compare(prints, &active, &mut checked);
        let superseded: Vec<u64> = (0..100).filter(|number| checked.superseded.contains(*number)).collect();
        let differing: Vec<u64> = (0..100).filter(|number| checked.differing.contains(*number)).collect();
        assert_eq!((superseded, differing), (vec![0, 1, 64], vec![64]));
        assert_eq!((checked.duplicates, checked.left_over), (1, 1));
    }
}
