//! The second reading of a file: batches of records, one ahead of the one that is being written.

use super::check::{Checked, Next, Plan};
use super::rows::Fault;
use super::watch::{ImportError, Watcher};
use crate::model::activity::ActivityDraft;
use crate::model::batch::Batch;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows of a batch.
const ROWS: usize = 1_000;

/// Bytes of the file in a batch, where rows are long.
const BYTES: u64 = 4 * 1024 * 1024;

/// Records of some rows, to be applied in one transaction.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// People and organizations.
    pub batch: Batch,
    /// What people did.
    pub activities: Vec<ActivityDraft>,
    /// Rows taken from the file up to here.
    pub rows: u64,
    /// Bytes taken from the file up to here.
    pub bytes: u64,
    /// True of the last one.
    pub last: bool,
}

impl Load {
    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.activities.is_empty()
    }
}

/// What is taken from the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// People and organizations, and the activities of the rows that make the people.
    People,
    /// Activities of rows that are superseded: they could not be attached before the person was there.
    LeftOver,
}

/// Reads the file in a thread of its own. Its end is the end of the channel.
pub(super) fn start(
    plan: Arc<Plan>,
    checked: Arc<Checked>,
    take: Take,
    watcher: Arc<dyn Watcher>,
) -> mpsc::Receiver<Result<Load, ImportError>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = feed(&plan, &checked, take, watcher.as_ref(), &sender) {
            // Fails only when nobody listens any more.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

fn feed(
    plan: &Plan,
    checked: &Checked,
    take: Take,
    watcher: &dyn Watcher,
    sender: &mpsc::Sender<Result<Load, ImportError>>,
) -> Result<(), ImportError> {
    plan.unchanged(checked)?;
    if take == Take::People && !organizations(checked, sender) {
        return Ok(());
    }
    let mut reader = plan.open()?;
    let (mut load, mut rows, mut began) = (Load::default(), 0, 0);
    let mut taken = 0;
    loop {
        let next = reader.advance()?;
        let ended = matches!(next, Next::End);
        rows += u64::from(!ended);
        if let Next::Good(number, records) = next {
            let superseded = checked.superseded.contains(number);
            taken += 1;
            match (take, superseded) {
                (Take::People, false) => {
                    load.batch.people.push(records.person);
                    load.activities.extend(records.activities);
                    // More organizations than are put together beforehand come with their rows.
                    let late =
                        records.organization.filter(|found| !checked.organizations.contains_key(&found.record_id));
                    load.batch.organizations.extend(late);
                }
                (Take::People, true) if checked.differing.contains(number) => watcher.fault(&duplicate(records.line)),
                (Take::LeftOver, true) => load.activities.extend(records.activities),
                _ => {}
            }
        }
        if ended || taken >= ROWS || reader.bytes() - began >= BYTES {
            (load.rows, load.bytes, load.last) = (rows, reader.bytes(), ended);
            (began, taken) = (load.bytes, 0);
            let full = std::mem::take(&mut load);
            if (ended || !full.is_empty()) && sender.blocking_send(Ok(full)).is_err() {
                return Ok(());
            }
        }
        if ended {
            return plan.unchanged(checked);
        }
    }
}

fn duplicate(line: u64) -> Fault {
    let reason = "a later row is the same record and says something else; the later one was applied".to_owned();
    Fault { line, column: String::new(), reason }
}

/// The organizations, put together beforehand. False when nobody listens any more.
fn organizations(checked: &Checked, sender: &mpsc::Sender<Result<Load, ImportError>>) -> bool {
    let mut all: Vec<_> = checked.organizations.values().collect();
    all.sort_unstable_by(|a, b| a.record_id.cmp(&b.record_id));
    all.chunks(ROWS).all(|some| {
        let organizations = some.iter().map(|organization| (*organization).clone()).collect();
        let batch = Batch { organizations, ..Batch::default() };
        sender.blocking_send(Ok(Load { batch, ..Load::default() })).is_ok()
    })
}
