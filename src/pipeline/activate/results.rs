//! What Zendesk says of the records of a call becomes their results, and moves the ledger.

use super::matching::{Marks, matching};
use crate::db;
use crate::db::delivery::{Delivered, Ledger};
use crate::db::push_record::{Outcome, Record};
use crate::model::push::{Changes, Fault, RecordState, Remote};
use crate::pipeline::context::FlowError;
use crate::rules::activation::ledger;
use crate::telemetry::PUSH_RECORDS;
use crate::zendesk::decode::JobRow;
use crate::zendesk::push::Call;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How often a record is sent until it is given up.
pub const MAX_TRIES: i16 = 3;

/// Fields that new records did not get, by the records' places in their run.
pub type Lost = HashMap<i64, BTreeSet<String>>;

/// What became of a record.
#[derive(Debug, Clone)]
pub struct Final {
    /// Its run.
    pub run_id: i64,
    /// Its place there.
    pub seq: i64,
    /// Its new state.
    pub state: RecordState,
    /// Its id in Zendesk; None leaves what is stored, as with the next three.
    pub record_id: Option<String>,
    /// What Zendesk had.
    pub before: Option<Value>,
    /// What is to be sent.
    pub changes: Option<Changes>,
    /// What is left as Zendesk has it.
    pub kept: Option<BTreeMap<String, String>>,
    /// Why it is not written.
    pub fault: Option<Fault>,
}

impl Final {
    /// A record of which only the state changes.
    pub fn new(record: &Record, state: RecordState) -> Final {
        let (run_id, seq) = (record.run_id, record.seq);
        Final { run_id, seq, state, record_id: None, before: None, changes: None, kept: None, fault: None }
    }

    /// A record that was not written.
    pub fn fault(record: &Record, state: RecordState, fault: Fault) -> Final {
        Final { fault: Some(fault), ..Final::new(record, state) }
    }
}

/// Writes what became of records.
pub async fn write(db: &mut PgConnection, workspace: i64, finals: &[Final], now: DateTime<Utc>) -> db::Result<()> {
    let outcomes: Vec<Outcome<'_>> = finals
        .iter()
        .map(|one| Outcome {
            run_id: one.run_id,
            seq: one.seq,
            state: one.state,
            record_id: one.record_id.as_deref(),
            before: one.before.as_ref(),
            changes: one.changes.as_ref(),
            kept: one.kept.as_ref(),
            fault: one.fault.as_ref(),
        })
        .collect();
    db::push_record::finish(db, workspace, &outcomes, now).await?;
    for one in finals.iter().filter(|one| one.state.is_final()) {
        metrics::counter!(PUSH_RECORDS, "result" => one.state.as_str()).increment(1);
    }
    Ok(())
}

/// Where results belong.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The workspace.
    pub workspace: i64,
    /// The source.
    pub source: i64,
    /// Now.
    pub now: DateTime<Utc>,
}

/// What is known of a record that was sent.
#[derive(Debug, Clone)]
pub enum Result {
    /// Zendesk has it, with this id.
    Done {
        /// Its id, where it was told.
        id: Option<String>,
        /// It is new.
        created: bool,
    },
    /// Zendesk refused it.
    Failed(Fault),
    /// Certainly not written: it is looked at and sent again.
    Again,
    /// Certainly not sent at all: the same, and this try does not count.
    Unsent,
    /// Nobody can tell.
    Unknown(Fault),
}

/// The results of the records of a call, as far as its rows tell; None where they do not.
pub fn read(call: Call, records: &[Record], rows: &[JobRow]) -> Vec<Option<Result>> {
    if matches!(call, Call::MembershipsCreateMany | Call::MembershipsDestroyMany) {
        return memberships(records, rows);
    }
    let marks: Vec<Marks> = records.iter().map(Marks::of).collect();
    let of = |(record, row): (&Record, Option<&JobRow>)| row.map(|row| one(record, row));
    records.iter().zip(matching(&marks, rows)).map(of).collect()
}

fn one(record: &Record, row: &JobRow) -> Result {
    if row.success {
        let created = record.before.is_none() && row.action.as_deref() != Some("update");
        return Result::Done { id: row.id.clone(), created };
    }
    let fault = row.fault.clone().unwrap_or_else(|| Fault::new("refused", "Zendesk refused it and does not say why"));
    match fault.class.as_str() {
        "conflict" if record.tries < MAX_TRIES => Result::Again,
        "not_found" if record.record_id.is_some() => {
            Result::Failed(Fault::new("deleted", "the record was deleted in Zendesk, or merged into another"))
        }
        _ => Result::Failed(fault),
    }
}

/// Rows of memberships that were made or ended name neither user nor organization: only refusals tell their place. All others
/// are looked at again, which shows whether they hold.
fn memberships(records: &[Record], rows: &[JobRow]) -> Vec<Option<Result>> {
    let mut results: Vec<Option<Result>> = records.iter().map(|_| Some(Result::Again)).collect();
    for row in rows.iter().filter(|row| !row.success) {
        let place = row.index.and_then(|index| i32::try_from(index).ok());
        let Some(at) = place.and_then(|place| records.iter().rposition(|record| record.job_index <= Some(place)))
        else {
            continue;
        };
        let fault = row.fault.clone().unwrap_or_else(|| Fault::new("refused", "Zendesk refused the membership"));
        // Who is a member already, or no more, is what was wanted.
        if !matches!(fault.class.as_str(), "duplicate_value" | "not_found" | "conflict") {
            results[at] = Some(Result::Failed(Fault { field: Some("organizations".into()), ..fault }));
        }
    }
    results
}

/// Gives records of one run their results: their states and the ledger, in the caller's transaction. `lost` has the fields that new ones
/// did not get. Answers how many have no result.
pub async fn apply(
    db: &mut PgConnection,
    place: Place,
    call: Call,
    records: &[Record],
    results: Vec<Option<Result>>,
    lost: &Lost,
) -> std::result::Result<usize, FlowError> {
    let Some(first) = records.first() else { return Ok(0) };
    let (run_id, activation_id) = (first.run_id, first.activation_id);
    let keys: Vec<&str> = records.iter().map(|record| record.row_key.as_str()).collect();
    let seqs: Vec<i64> = records.iter().map(|record| record.seq).collect();
    let entries = db::delivery::load(db, place.workspace, activation_id, &keys).await?;
    let mut entries: HashMap<String, Delivered> =
        entries.into_iter().map(|entry| (entry.row_key.clone(), entry)).collect();
    let outdated = db::push_sent::outdated(db, place.workspace, activation_id, (&seqs, &keys)).await?;
    // Of a run that was stopped nothing is sent again.
    let ended = db::push_run::load(db, place.workspace, run_id).await?.is_none_or(|run| run.ended_at.is_some());
    let (mut finals, mut released, mut moved, mut open) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let of_memberships = matches!(call, Call::MembershipsCreateMany | Call::MembershipsDestroyMany);
    for (record, result) in records.iter().zip(results) {
        let Some(result) = result else {
            open += 1;
            continue;
        };
        let mut entry = entries.remove(&record.row_key);
        let over = match (outdated.contains(&record.seq), ended) {
            (true, _) => Some(Fault::new("superseded", "something newer is wanted for the row")),
            (_, true) => Some(Fault::new("stopped", "the run was stopped before the record could be sent again")),
            _ => None,
        };
        let lost = lost.get(&record.seq);
        match step(record, result, entry.as_mut(), (of_memberships, over), lost, place.now) {
            Step::Final(one) => finals.push(*one),
            Step::Release(one) => released.push(one),
        }
        moved.extend(entry);
    }
    let ledger =
        Ledger { workspace_id: place.workspace, activation_id, source_id: place.source, run_id, now: place.now };
    db::delivery::update(db, ledger, &moved).await?;
    write(db, place.workspace, &finals, place.now).await?;
    db::push_sent::release(db, place.workspace, &released, place.now).await?;
    Ok(open)
}

enum Step {
    Final(Box<Final>),
    Release(db::push_sent::Released),
}

/// What one result means for its record and its entry in the ledger.
fn step(
    record: &Record,
    result: Result,
    mut entry: Option<&mut Delivered>,
    (of_memberships, over): (bool, Option<Fault>),
    lost: Option<&BTreeSet<String>>,
    now: DateTime<Utc>,
) -> Step {
    let nothing = Changes::default();
    let changes = record.changes.as_ref().unwrap_or(&nothing);
    let before: Option<Remote> = record.before.clone().and_then(|before| serde_json::from_value(before).ok());
    let written = |created: bool| if created { RecordState::Created } else { RecordState::Updated };
    // What was sent of it did not arrive; of memberships the next look shows what did.
    let forget = |entry: Option<&mut Delivered>| {
        if let Some(entry) = entry.filter(|_| !of_memberships) {
            ledger::forget(entry, changes);
        }
    };
    match result {
        Result::Done { id, created } => {
            let more = !(changes.join.is_empty() && changes.leave.is_empty());
            let id = id.or_else(|| record.record_id.clone());
            if let Some(entry) = entry.as_deref_mut() {
                ledger::confirm(entry, before.as_ref(), &without(changes, lost), now);
                ledger::forget(entry, changes);
                entry.record_id = id.clone().or(entry.record_id.take());
                // What a field was lost of is looked at again.
                if !more && lost.is_none() {
                    entry.digest = record.digest;
                }
            }
            let state = if more && over.is_none() { RecordState::Planned } else { written(created) };
            Step::from(Final { record_id: id, ..with_lost(record, state, lost) })
        }
        Result::Failed(fault) => {
            forget(entry);
            Step::from(Final::fault(record, RecordState::Failed, fault))
        }
        Result::Unknown(fault) => Step::from(Final::fault(record, RecordState::Unknown, fault)),
        Result::Again | Result::Unsent if over.is_some() && of_memberships => {
            Step::from(Final::new(record, written(record.before.is_none())))
        }
        result @ (Result::Again | Result::Unsent) => {
            forget(entry);
            if let Some(fault) = over {
                return Step::from(Final::fault(record, RecordState::Skipped, fault));
            }
            let unsent = matches!(result, Result::Unsent);
            // A plan keeps what it is compared with until it has been sent once.
            let keep = of_memberships || (unsent && record.tries <= 1);
            Step::Release(db::push_sent::Released { run_id: record.run_id, seq: record.seq, unsent, keep })
        }
    }
}

/// What was sent, without what did not get there.
pub fn without(changes: &Changes, lost: Option<&BTreeSet<String>>) -> Changes {
    let mut changes = changes.clone();
    changes.values.retain(|name, _| lost.is_none_or(|lost| !lost.contains(name)));
    changes
}

/// The outcome of a record that was written, which names the fields that it did not get.
fn with_lost(record: &Record, state: RecordState, lost: Option<&BTreeSet<String>>) -> Final {
    let Some((lost, first)) = lost.and_then(|lost| Some((lost, lost.first()?))) else {
        return Final::new(record, state);
    };
    let mut kept = record.kept.clone().unwrap_or_default();
    kept.extend(lost.iter().map(|name| (name.clone(), "not_taken".to_owned())));
    let why = "Zendesk created the record without this field, which it does not have (any more)";
    Final { kept: Some(kept), ..Final::fault(record, state, Fault::of(first, "field_missing", why)) }
}

impl From<Final> for Step {
    fn from(one: Final) -> Step {
        Step::Final(Box::new(one))
    }
}
