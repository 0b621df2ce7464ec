//! Calls under way: their jobs are asked for until every record has its result; what stays unknown is settled by reading.

use super::hold::Hold;
use super::look::{Looked, Seen, Way, look};
use super::made;
use super::results::{self, Lost, MAX_TRIES, Place, Result as Outcome};
use crate::db;
use crate::db::push_job::Job;
use crate::db::push_record::Record;
use crate::model::job::Lease;
use crate::model::push::{Fault, Remote};
use crate::model::source::Source;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::Terms;
use crate::rules::activation::read::from_json;
use crate::rules::activation::settle::{Settled, settle};
use crate::zendesk::client::Client;
use crate::zendesk::decode::JobStatus;
use crate::zendesk::push::{self, Call};
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeSet, HashMap};

/// How long a job may take; Zendesk tells its outcome about as long (Z§5).
const LONGEST: i64 = 3600;

/// What is under way after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polled {
    /// Calls that have not ended.
    pub open: usize,
    /// Whether one has: its run may go on.
    pub moved: bool,
    /// When the next look is due; None when nothing is under way.
    pub next_at: Option<DateTime<Utc>>,
}

/// What Zendesk said of calls under way: each job that was asked for, and its status where Zendesk knows it.
#[derive(Debug, Default)]
pub struct Asked {
    jobs: Vec<(Job, Option<JobStatus>)>,
}

/// Asks for all calls of a source that have not ended, in one request, once one of them is due: they begin a second apart, and each
/// asked for by itself would cost a request a second. Nothing is changed by it, so that it may go on beside other work.
pub async fn ask(ctx: &Context, source: &Source, client: &Client) -> Result<Asked, FlowError> {
    let look = Look { ctx, source, client };
    let mut sent = look.open().await?;
    sent.retain(|job| job.state == "sent" && job.remote_job.is_some());
    let now = ctx.clock.now();
    if !sent.iter().any(|job| look.next_at(job) <= now) {
        return Ok(Asked::default());
    }
    let ids: Vec<String> = sent.iter().filter_map(|job| job.remote_job.clone()).collect();
    let found = push::jobs(client, &ids).await?;
    let mut found: HashMap<String, JobStatus> = found.into_iter().map(|status| (status.id.clone(), status)).collect();
    let status = |job: Job| {
        let status = job.remote_job.as_ref().and_then(|id| found.remove(id));
        (job, status)
    };
    Ok(Asked { jobs: sent.into_iter().map(status).collect() })
}

/// Gives records their results by what Zendesk said, and settles by reading the calls whose time has come.
pub async fn poll(
    ctx: &Context,
    lease: &Lease,
    source: &Source,
    client: &Client,
    asked: Asked,
) -> Result<Polled, FlowError> {
    let mut hold = Hold::new(ctx, lease);
    let look = Look { ctx, source, client };
    let mut open = look.open().await?;
    let before = open.len();
    if !asked.jobs.is_empty() {
        look.take(&mut hold, &asked.jobs).await?;
        open = look.open().await?;
    }
    if open.iter().any(|job| look.is_lost(job)) {
        for job in open.iter().filter(|job| look.is_lost(job)) {
            look.settle(&mut hold, job).await?;
        }
        open = look.open().await?;
    }
    let moved = open.len() < before;
    Ok(Polled { open: open.len(), moved, next_at: open.iter().map(|job| look.next_at(job)).min() })
}

struct Look<'a> {
    ctx: &'a Context,
    source: &'a Source,
    client: &'a Client,
}

impl Look<'_> {
    async fn open(&self) -> Result<Vec<Job>, FlowError> {
        let mut db = self.ctx.pool.acquire().await?;
        Ok(db::push_job::open(&mut db, self.source.workspace_id, self.source.id).await?)
    }

    fn place(&self) -> Place {
        Place { workspace: self.source.workspace_id, source: self.source.id, now: self.ctx.clock.now() }
    }

    /// When a call is looked at again: a job at each interval, what is lost when it has been silent long enough.
    fn next_at(&self, job: &Job) -> DateTime<Utc> {
        let settings = &self.ctx.settings.activation;
        let wait = match job.state.as_str() {
            "sent" => Duration::milliseconds(settings.poll_ms as i64),
            _ => Duration::seconds(settings.settle_secs as i64),
        };
        job.last_seen() + wait
    }

    /// True for a call that nobody knows the outcome of, and whose last sign of life is long enough ago.
    fn is_lost(&self, job: &Job) -> bool {
        job.state != "sent" && self.next_at(job) <= self.ctx.clock.now()
    }

    /// Takes what was said of each job.
    async fn take(&self, hold: &mut Hold<'_>, asked: &[(Job, Option<JobStatus>)]) -> Result<(), FlowError> {
        let now = self.ctx.clock.now();
        let mut working = Vec::new();
        for (job, status) in asked {
            let late = job.sent_at.is_some_and(|sent_at| now - sent_at >= Duration::seconds(LONGEST));
            match status {
                None => self.lose(hold, job, "Zendesk does not know the job any more", None).await?,
                Some(status) if ["completed", "killed"].contains(&status.status.as_str()) => {
                    self.completed(hold, job, status).await?;
                }
                Some(status) if status.status == "failed" => {
                    self.lose(hold, job, "Zendesk says that the job failed", Some(now)).await?;
                }
                Some(_) if late => self.lose(hold, job, "the job did not end within an hour", Some(now)).await?,
                Some(_) => working.push(job.id),
            }
        }
        if !working.is_empty() {
            let workspace = self.source.workspace_id;
            let mut held = hold.begin().await?;
            db::push_job::seen(&mut held.tx, workspace, &working, now).await?;
            hold.commit(held).await?;
        }
        Ok(())
    }

    async fn lose(
        &self,
        hold: &mut Hold<'_>,
        job: &Job,
        why: &str,
        seen_at: Option<DateTime<Utc>>,
    ) -> Result<(), FlowError> {
        tracing::warn!(
            source = self.source.name,
            call = job.call,
            job = job.id,
            why,
            "what became of a call is settled by reading"
        );
        let workspace = self.source.workspace_id;
        let mut held = hold.begin().await?;
        db::push_job::unknown(&mut held.tx, workspace, job.id, why, seen_at).await?;
        hold.commit(held).await
    }

    /// Gives the records of a job that has ended their results.
    async fn completed(&self, hold: &mut Hold<'_>, job: &Job, status: &JobStatus) -> Result<(), FlowError> {
        let (place, call) = (self.place(), call_of(job)?);
        let records = db::push_sent::of_job(&mut *self.ctx.pool.acquire().await?, place.workspace, job.id).await?;
        let results = results::read(call, &records, &status.rows);
        let lost = made::lost(self.ctx, (self.client, self.source.id), call, &records, &results).await?;
        let mut held = hold.begin().await?;
        // Somebody may have been erased meanwhile.
        let records = db::push_sent::of_job(&mut held.tx, place.workspace, job.id).await?;
        let results = results::read(call, &records, &status.rows);
        let left = results::apply(&mut held.tx, place, call, &records, results, &lost).await?;
        if left == 0 {
            db::push_job::end(&mut held.tx, place.workspace, job.id, None, place.now).await?;
        }
        hold.commit(held).await?;
        match left {
            0 => Ok(()),
            left => {
                self.lose(hold, job, &format!("the job ended without results for {left} records"), Some(place.now))
                    .await
            }
        }
    }

    /// Reads what Zendesk has of the records of a call that nobody knows the outcome of, and judges.
    async fn settle(&self, hold: &mut Hold<'_>, job: &Job) -> Result<(), FlowError> {
        let (call, workspace) = (call_of(job)?, self.source.workspace_id);
        let (records, run) = {
            let mut db = self.ctx.pool.acquire().await?;
            let records = db::push_sent::of_job(&mut db, workspace, job.id).await?;
            (records, db::push_run::load(&mut db, workspace, job.run_id).await?)
        };
        let of_memberships = matches!(call, Call::MembershipsCreateMany | Call::MembershipsDestroyMany);
        let mut lost = Lost::new();
        let results = match run {
            // The next look at the record shows which memberships hold.
            _ if of_memberships => records.iter().map(|_| Some(Outcome::Again)).collect(),
            Some(run) if !records.is_empty() => {
                let activation = from_json(&run.definition)
                    .map_err(|error| FlowError::State(format!("the activation of run {}: {error}", run.id)))?;
                let fields = push::fields(self.client, activation.target).await?;
                let terms = Terms::of(&activation, &fields);
                let (target, key) = (activation.target, &activation.key.by);
                let looked = look(Way { client: self.client, target, key, terms: &terms }, &records).await?;
                lost.extend(records.iter().filter_map(|record| Some((record.seq, not_taken(record, &looked)?))));
                records.iter().map(|record| Some(judge(&terms, record, &looked, lost.get(&record.seq)))).collect()
            }
            _ => Vec::new(),
        };
        let place = self.place();
        let mut held = hold.begin().await?;
        results::apply(&mut held.tx, place, call, &records, results, &lost).await?;
        db::push_job::end(&mut held.tx, workspace, job.id, None, place.now).await?;
        hold.commit(held).await
    }
}

fn call_of(job: &Job) -> Result<Call, FlowError> {
    Call::parse(&job.call).ok_or_else(|| FlowError::State(format!("call {} is of no known kind: {}", job.id, job.call)))
}

/// The fields that a record lacks that is new in Zendesk; None where there are none.
fn not_taken(record: &Record, looked: &Looked) -> Option<BTreeSet<String>> {
    let Some(Seen::One(remote)) = looked.seen.get(&record.seq).filter(|_| record.before.is_none()) else { return None };
    Some(made::missing(record.changes.as_ref()?, remote)).filter(|missing| !missing.is_empty())
}

/// What became of a record, judged by what Zendesk has now; of a new one without fields that it `lost`.
fn judge(terms: &Terms, record: &Record, looked: &Looked, lost: Option<&BTreeSet<String>>) -> Outcome {
    let unknown = |why: &str| Outcome::Unknown(Fault::new("unknown", why));
    let present = match looked.seen.get(&record.seq) {
        Some(Seen::One(remote)) => Some(&**remote),
        Some(Seen::Several) => return unknown("several records in Zendesk have its key by now"),
        Some(Seen::Nobody | Seen::Taken(_)) | None => None,
    };
    let changes = &results::without(&record.changes.clone().unwrap_or_default(), lost);
    let before: Option<Remote> = record.before.clone().and_then(|before| serde_json::from_value(before).ok());
    match settle(terms, present, before.as_ref(), changes) {
        Settled::Applied => Outcome::Done { id: present.map(|present| present.id.clone()), created: before.is_none() },
        Settled::NotApplied if record.tries < MAX_TRIES => Outcome::Again,
        Settled::NotApplied => unknown("was not applied three times"),
        Settled::Gone => {
            Outcome::Failed(Fault::new("deleted", "the record was deleted in Zendesk, or merged into another"))
        }
        Settled::Other => unknown("Zendesk has neither what it had before nor what was sent"),
    }
}
