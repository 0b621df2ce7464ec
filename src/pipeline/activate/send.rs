//! Planned records on their way to Zendesk: read, compared, stored, sent.

use super::ahead::{self, Ahead};
use super::call::{self, BULK_IMPORT_OFF, Member, Stored};
use super::env::{Env, forget_fields};
use super::hold::Hold;
use super::look::{Looked, Seen};
use super::results::{self, Final};
use super::twins::{self, Twin};
use crate::db;
use crate::db::delivery::{Delivered, Ledger};
use crate::db::push_record::Record;
use crate::db::push_run::Run;
use crate::db::push_sent::Assigned;
use crate::model::activation::{Activation, KeyKind, Target};
use crate::model::job::Lease;
use crate::model::push::{Changes, Fault, RecordState, Remote, RunKind, RunState};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::{Decision, Terms, diff, excerpt, tags_after};
use crate::rules::activation::ledger;
use crate::zendesk::push::{Call, Item};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Records looked at together where they are created one by one, one a second.
const SINGLES: usize = 10;

/// For how many seconds counts what Zendesk said of the jobs it would still take (Z§6: `resets=60`).
const TOLD: i64 = 60;

/// Calls that a record needs at most: itself, joining, leaving, each twice.
const MAX_CALLS: i16 = 6;

/// What a round of sending did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Records that were looked at: 0 when none can be sent now.
    pub records: usize,
    /// How long to wait before the next round.
    pub wait: Option<Duration>,
}

/// A record, what Zendesk has of it and what is to be done.
struct Verdict {
    record: Record,
    remote: Option<Remote>,
    entry: Delivered,
    /// The look told what became of what nobody knew the outcome of.
    settled: bool,
    /// The row that gave its entry away to this one.
    gave_way: Option<String>,
    decision: Decision,
}

/// Records that go by the same call.
type Batch = Vec<(Verdict, Member)>;

/// What one round works with.
struct Round<'a> {
    ctx: &'a Context,
    env: &'a Env,
    run: &'a Run,
    terms: Terms,
    /// Before-images are taken and nothing is sent: of a plan, or to weigh a run.
    reads_only: bool,
    /// Users are created one by one.
    singly: bool,
}

/// Takes the next planned records of a run and sends what differs; of a plan that reads, only before-images are taken. `ahead`
/// is what the round before has read for this one, and is left for the next.
pub async fn chunk(
    ctx: &Context,
    lease: &Lease,
    env: &Env,
    run: &Run,
    ahead: &mut Option<Ahead>,
) -> Result<Sent, FlowError> {
    let mut hold = Hold::new(ctx, lease);
    let terms = Terms::of(&env.activation, &env.fields);
    let terms = if run.kind == RunKind::Undo { terms.for_undo() } else { terms };
    let reads_only = run.state == RunState::Reading;
    let ready = ahead.take().filter(|ahead| ahead.is_for(run, ctx.clock.now()));
    let singly = {
        let mut db = ctx.pool.acquire().await?;
        if !reads_only && is_full(ctx, &mut db, env).await? {
            let wait = Duration::from_millis(ctx.settings.activation.poll_ms);
            return Ok(Sent { records: 0, wait: Some(wait) });
        }
        let hour = ctx.clock.now() - chrono::Duration::hours(1);
        let refused = db::push_job::refused(&mut db, env.workspace, env.source.id, BULK_IMPORT_OFF, hour).await?;
        refused.is_some() && env.activation.key.create
    };
    let round = Round { ctx, env, run, terms, reads_only, singly };
    let taken = match ready {
        Some(ready) => ready,
        None => ahead::read(ctx, env, run, &round.terms, round.most()).await?,
    };
    let records = taken.records.len();
    if records == 0 {
        return Ok(Sent::default());
    }
    let (verdicts, waits, looked) = round.judge(taken).await?;
    round.notice_missing(&verdicts);
    let writes = verdicts.iter().filter(|verdict| matches!(verdict.decision, Decision::Write { .. })).count();
    if !reads_only {
        round.pace(writes).await?;
    }
    let calls = round.store(&mut hold, verdicts, waits, &looked).await?;
    if singly || calls.is_empty() {
        let wait = call::send(ctx, &mut hold, env, calls).await?;
        return Ok(Sent { records, wait });
    }
    let next = ahead::read_full(ctx, env, run, &round.terms, round.most());
    let (wait, next) = tokio::join!(call::send(ctx, &mut hold, env, calls), next);
    // What went wrong with it will do so again when it is needed.
    *ahead = next.ok().flatten();
    Ok(Sent { records, wait: wait? })
}

/// True while as many jobs are open as we may have: those of the settings, and no more than others left when Zendesk last
/// told; one always, for only an answer to a call tells anew.
async fn is_full(ctx: &Context, db: &mut sqlx::PgConnection, env: &Env) -> Result<bool, FlowError> {
    let (workspace, source) = (env.workspace, env.source.id);
    let open = db::push_job::open(db, workspace, source).await?.len();
    let told = ctx.clock.now() - chrono::Duration::seconds(TOLD);
    let most = match (env.client.jobs_left(), db::push_job::last_known(db, workspace, source, told).await?) {
        (Some(left), Some(ours)) => usize::try_from(left + ours.unsigned_abs()).unwrap_or(usize::MAX).max(1),
        _ => usize::MAX,
    };
    Ok(open >= ctx.settings.activation.jobs_in_flight.min(most))
}

impl Round<'_> {
    /// A field that a record shows to be missing is gone from the account: the next piece of the run knows.
    fn notice_missing(&self, verdicts: &[Verdict]) {
        let known = |fault: &Fault| fault.field.as_deref().is_some_and(|name| self.terms.field(name).is_some());
        let is_missing = |verdict: &Verdict| match &verdict.decision {
            Decision::Fail(fault) => fault.class == "field_missing" && known(fault),
            _ => false,
        };
        if verdicts.iter().any(is_missing) {
            forget_fields(self.ctx, self.env.source.id);
        }
    }

    /// How many records are looked at together.
    fn most(&self) -> usize {
        let settings = &self.ctx.settings.activation;
        let most = settings.records_per_call.min(settings.users_per_second as usize);
        if self.singly { most.min(SINGLES) } else { most }
    }

    /// Decides about each record. Those whose record in Zendesk is in another call wait for it; they remember which it is, so that
    /// they are not taken again before.
    async fn judge(&self, taken: Ahead) -> Result<(Vec<Verdict>, Vec<Final>, Looked), FlowError> {
        let Ahead { records, ids, busy, looked, .. } = taken;
        let rows: Vec<&str> = records.iter().map(|record| record.row_key.as_str()).collect();
        let mut twins = twins::twins(self.ctx, self.env, self.run, &self.terms, &records, &ids).await?;
        let gave_way = twins.values().filter_map(|twin| match twin {
            Twin::GaveWay(other) => Some(other.as_str()),
            _ => None,
        });
        let rows: Vec<&str> = rows.into_iter().chain(gave_way).collect();
        let entries = {
            let mut db = self.ctx.pool.acquire().await?;
            db::delivery::load(&mut db, self.env.workspace, self.env.id, &rows).await?
        };
        let entries: HashMap<String, Delivered> =
            entries.into_iter().map(|entry| (entry.row_key.clone(), entry)).collect();
        let (mut verdicts, mut waits) = (Vec::new(), Vec::new());
        for (record, id) in records.into_iter().zip(ids) {
            if id.as_ref().is_some_and(|id| busy.contains(id)) && !self.reads_only {
                waits.push(Final { record_id: id, ..Final::new(&record, RecordState::Planned) });
                continue;
            }
            let (row_key, person_id) = (record.row_key.clone(), record.person_id);
            let twin = twins.remove(&record.row_key);
            let own = entries.get(&record.row_key);
            let entry = match &twin {
                Some(Twin::GaveWay(other)) if own.is_none_or(|own| own.record_id != id) => entries.get(other),
                _ => own,
            };
            let entry = Delivered { row_key, person_id, ..entry.cloned().unwrap_or_default() };
            verdicts.push(self.verdict(record, &looked, entry, twin));
        }
        Ok((verdicts, waits, looked))
    }

    fn verdict(&self, record: Record, looked: &Looked, mut entry: Delivered, twin: Option<Twin>) -> Verdict {
        let fail = |fault: Fault| (None, Decision::Fail(fault));
        let seen = looked.seen.get(&record.seq);
        let was_open = !entry.pending.is_empty();
        // Where the record is known it is noted, so that the others learn of it.
        let known = || match seen {
            Some(Seen::One(remote)) => Some((**remote).clone()),
            _ => None,
        };
        let mut gave_way = None;
        let (remote, decision) = match (twin, seen) {
            (Some(Twin::Refused(why)), _) => (known(), Decision::Fail(Fault::new("duplicate_record", why))),
            (Some(Twin::Replaced), _) => {
                let why = "another row stands for the record by now, and nothing is taken from it";
                (known(), Decision::Skip(Fault::new("replaced", why)))
            }
            (_, Some(Seen::Several)) => fail(Fault::new("ambiguous", "several records in Zendesk have this key")),
            (_, Some(Seen::Taken(field))) => {
                let why = "it would be created with a value that belongs to another record in Zendesk";
                fail(Fault::of(field, "duplicate_value", why))
            }
            (twin, Some(Seen::One(remote))) => {
                if let Some(Twin::GaveWay(other)) = twin {
                    gave_way = Some(other);
                }
                entry = ledger::of_record(entry, Some(&remote.id));
                let same = |name: &str, a: &Value, b: &Value| self.terms.same(name, a, b);
                ledger::look_back(&mut entry, remote, same, self.ctx.clock.now());
                (Some((**remote).clone()), self.compare(&record, Some(remote), &entry))
            }
            (_, Some(Seen::Nobody) | None) => {
                // Whatever was on its way has not arrived, or is gone.
                entry.pending.clear();
                (None, self.compare(&record, None, &entry))
            }
        };
        let settled = was_open && entry.pending.is_empty();
        Verdict { record, remote, entry, settled, gave_way, decision }
    }

    fn compare(&self, record: &Record, remote: Option<&Remote>, entry: &Delivered) -> Decision {
        let applies = self.run.kind == RunKind::Plan && !self.reads_only && record.tries == 0;
        if applies && record.changes.is_some() {
            let then: Option<Remote> = record.before.clone().and_then(|before| serde_json::from_value(before).ok());
            if then != remote.map(|remote| excerpt(remote, &record.wanted)) {
                let why = "Zendesk has something else now than when the plan was made";
                return Decision::Fail(Fault::new("changed_since_plan", why));
            }
        }
        let (key, known) = (record.key_value.as_deref(), record.record_id.is_some());
        let decision = diff(&self.terms, &record.wanted, key, known, remote, Some(entry));
        match &decision {
            Decision::Write { .. } if record.tries >= MAX_CALLS => {
                Decision::Fail(Fault::new("not_kept", "Zendesk does not keep what it was given"))
            }
            _ => decision,
        }
    }

    /// Waits until the pace allows so many more: what was stored in the last second counts, by whichever daemon.
    async fn pace(&self, records: usize) -> Result<(), FlowError> {
        let most = i64::from(self.ctx.settings.activation.users_per_second);
        loop {
            let after = self.ctx.clock.now() - chrono::Duration::seconds(1);
            let recent = {
                let mut db = self.ctx.pool.acquire().await?;
                db::push_job::since(&mut db, self.env.workspace, self.env.source.id, after).await?
            };
            let sent: i64 = recent.iter().map(|(_, records)| i64::from(*records)).sum();
            let Some((oldest, _)) = recent.first().filter(|_| sent + records as i64 > most) else { return Ok(()) };
            self.ctx.clock.sleep_until(*oldest + chrono::Duration::seconds(1)).await;
        }
    }

    /// Writes results and stores the calls, in one transaction.
    async fn store(
        &self,
        hold: &mut Hold<'_>,
        verdicts: Vec<Verdict>,
        waits: Vec<Final>,
        looked: &Looked,
    ) -> Result<Vec<Stored>, FlowError> {
        let now = self.ctx.clock.now();
        let (workspace, source) = (self.env.workspace, self.env.source.id);
        let (run_id, activation_id) = (self.run.id, self.env.id);
        let ledger = Ledger { workspace_id: workspace, activation_id, source_id: source, run_id, now };
        let mut held = hold.begin().await?;
        let tx = &mut held.tx;
        // Somebody may have stopped the run, or taken records out of it, while Zendesk was read.
        let state = db::push_run::load(tx, workspace, run_id).await?.map(|run| run.state);
        let seqs = verdicts.iter().map(|verdict| verdict.record.seq);
        let seqs: Vec<i64> = seqs.chain(waits.iter().map(|wait| wait.seq)).collect();
        let ours = match state == Some(self.run.state) {
            true => db::push_sent::hold(tx, workspace, run_id, &seqs).await?,
            false => HashSet::new(),
        };
        let mut finals: Vec<Final> = waits.into_iter().filter(|wait| ours.contains(&wait.seq)).collect();
        let mut entries = Vec::new();
        let mut gave_way = Vec::new();
        let mut batches: BTreeMap<&str, (Call, Batch)> = BTreeMap::new();
        for verdict in verdicts.into_iter().filter(|verdict| ours.contains(&verdict.record.seq)) {
            match self.outgoing(&verdict, looked) {
                Some((call, member)) => {
                    batches.entry(call.as_str()).or_insert((call, Vec::new())).1.push((verdict, member));
                }
                None => {
                    let other = verdict.gave_way.clone();
                    let (one, entry) = self.finish(verdict);
                    finals.push(one);
                    gave_way.extend(other.filter(|_| entry.is_some()));
                    entries.extend(entry);
                }
            }
        }
        results::write(tx, workspace, &finals, now).await?;
        let mut calls = Vec::new();
        for (call, batch) in batches.into_values() {
            for part in parts(call, batch) {
                let job = db::push_job::store(tx, workspace, (run_id, source), call.as_str(), part.len(), now).await?;
                let (verdicts, members): (Vec<Verdict>, Vec<Member>) = part.into_iter().unzip();
                assign(tx, (workspace, run_id, job), &verdicts, &members, now).await?;
                gave_way.extend(verdicts.iter().filter_map(|verdict| verdict.gave_way.clone()));
                entries.extend(verdicts.into_iter().map(|verdict| expected(call, verdict, now)));
                calls.push(Stored { job, run: run_id, call, members });
            }
        }
        db::delivery::forget(tx, workspace, activation_id, &gave_way).await?;
        db::delivery::put(tx, ledger, &entries).await?;
        hold.commit(held).await?;
        Ok(calls)
    }

    /// The call that a record goes by, and what is sent for it; None when nothing is.
    fn outgoing(&self, verdict: &Verdict, looked: &Looked) -> Option<(Call, Member)> {
        let Decision::Write { changes, .. } = &verdict.decision else { return None };
        if self.reads_only {
            return None;
        }
        let remote = verdict.remote.as_ref();
        let call = self.call(remote, changes);
        let item = |id: Option<String>, changes: Changes| Item { id, key: None, changes, tags: Default::default() };
        let items = match (call, remote) {
            (Call::MembershipsCreateMany, Some(remote)) => {
                let join = |id: &String| Changes { join: [id.clone()].into(), ..Changes::default() };
                changes.join.iter().map(|id| item(Some(remote.id.clone()), join(id))).collect()
            }
            (Call::MembershipsDestroyMany, Some(remote)) => {
                let own = looked.memberships.iter().filter(|membership| membership.user_id == remote.id);
                let left = own.filter(|membership| changes.leave.contains(&membership.organization_id));
                left.map(|membership| item(Some(membership.id.clone()), Changes::default())).collect()
            }
            _ => {
                let key = self.terms.creation_key(verdict.record.key_value.as_deref(), &verdict.record.wanted);
                let id = remote.map(|remote| remote.id.clone());
                let key = key.filter(|_| id.is_none());
                vec![Item { id, key, changes: changes.clone(), tags: tags_after(remote, changes) }]
            }
        };
        Some((call, Member { seq: verdict.record.seq, items }))
    }

    fn call(&self, remote: Option<&Remote>, changes: &Changes) -> Call {
        let of_record = !(changes.values.is_empty() && changes.add_tags.is_empty() && changes.remove_tags.is_empty());
        match (self.env.activation.target, remote) {
            (Target::SellContacts, _) => Call::SellUpsert,
            (Target::Organizations, Some(_)) => Call::OrganizationsUpdateMany,
            // Zendesk finds organizations by their external ids only; a name is unique, so that none is made twice.
            (Target::Organizations, None) if self.env.activation.key.by == KeyKind::ExternalId => {
                Call::OrganizationCreateOrUpdate
            }
            (Target::Organizations, None) => Call::OrganizationsCreateMany,
            (Target::Users, None) if self.singly => Call::UserCreateOrUpdate,
            (Target::Users, None) => Call::UsersCreateOrUpdateMany,
            (Target::Users, Some(_)) if of_record => Call::UsersUpdateMany,
            (Target::Users, Some(_)) if !changes.join.is_empty() => Call::MembershipsCreateMany,
            (Target::Users, Some(_)) => Call::MembershipsDestroyMany,
        }
    }

    /// The result of a record for which nothing is sent, and what of the ledger moves with it.
    fn finish(&self, verdict: Verdict) -> (Final, Option<Delivered>) {
        let Verdict { record, remote, mut entry, settled, decision, .. } = verdict;
        let id = remote.map(|remote| remote.id);
        // What a look settled stays so, whatever becomes of the record.
        let settled = settled && !self.reads_only;
        let confirmed = |entry: &mut Delivered| {
            (entry.digest, entry.record_id) = (record.digest, id.clone().or(entry.record_id.take()));
        };
        match decision {
            Decision::Unchanged { kept } => {
                confirmed(&mut entry);
                // What was sent before is there, and so are its memberships.
                let state = match record.tries > 0 && record.changes.is_some() {
                    true if record.before.is_none() => RecordState::Created,
                    true => RecordState::Updated,
                    false => RecordState::Unchanged,
                };
                let kept = Some(kept).filter(|kept| !kept.is_empty());
                let done = Final { record_id: id, kept, ..Final::new(&record, state) };
                (done, Some(entry).filter(|_| !self.reads_only))
            }
            // Only where a plan reads.
            Decision::Write { changes, before, kept } => {
                let before = before.and_then(|before| serde_json::to_value(before).ok());
                let kept = Some(kept).filter(|kept| !kept.is_empty());
                let read = Final::new(&record, RecordState::Read);
                (Final { record_id: id, before, changes: Some(changes), kept, ..read }, None)
            }
            Decision::Skip(fault) => {
                // Who is deleted needs no second look; others may come.
                let is_over = fault.class == "deleted" && entry.record_id.is_some() && !self.reads_only;
                if is_over {
                    confirmed(&mut entry);
                }
                (Final::fault(&record, RecordState::Skipped, fault), Some(entry).filter(|_| is_over || settled))
            }
            Decision::Fail(fault) => {
                let fault = Final::fault(&record, RecordState::Failed, fault);
                (Final { record_id: id, ..fault }, Some(entry).filter(|_| settled))
            }
        }
    }
}

/// As many records together as a call takes: a hundred items, or one record.
fn parts(call: Call, batch: Batch) -> Vec<Batch> {
    let most = if call.is_bulk() { crate::zendesk::push::MAX_ITEMS } else { 1 };
    let (mut parts, mut items): (Vec<Batch>, usize) = (Vec::new(), 0);
    for (verdict, mut member) in batch {
        // What does not fit is sent when the record is looked at again.
        member.items.truncate(most);
        items += member.items.len();
        match parts.last_mut() {
            Some(part) if items <= most => part.push((verdict, member)),
            _ => {
                items = member.items.len();
                parts.push(vec![(verdict, member)]);
            }
        }
    }
    parts
}

async fn assign(
    db: &mut sqlx::PgConnection,
    (workspace, run, job): (i64, i64, i64),
    verdicts: &[Verdict],
    members: &[Member],
    now: DateTime<Utc>,
) -> Result<(), FlowError> {
    let places = call::places(members);
    let assigned = verdicts.iter().zip(&places).filter_map(|(verdict, (seq, place))| {
        let Decision::Write { changes, before, kept } = &verdict.decision else { return None };
        // A record of which a part has arrived keeps what it had before, and all that was to change.
        let first = !(verdict.record.tries > 0 && verdict.record.changes.is_some());
        Some(Assigned {
            seq: *seq,
            record_id: verdict.remote.as_ref().map(|remote| remote.id.as_str()),
            before: before.as_ref().filter(|_| first),
            changes: Some(changes).filter(|_| first),
            kept: Some(kept).filter(|kept| first && !kept.is_empty()),
            job_index: *place,
        })
    });
    let assigned: Vec<Assigned<'_>> = assigned.collect();
    Ok(db::push_sent::assign(db, workspace, (run, job), &assigned, now).await?)
}

/// The entry of the ledger while the record is on its way.
fn expected(call: Call, verdict: Verdict, now: DateTime<Utc>) -> Delivered {
    let mut entry = verdict.entry;
    let before = verdict.remote.as_ref();
    entry.record_id = before.map(|remote| remote.id.clone()).or(entry.record_id.take());
    if let Decision::Write { changes, .. } = &verdict.decision {
        match call {
            Call::MembershipsCreateMany | Call::MembershipsDestroyMany => {
                ledger::expect_memberships(&mut entry, changes)
            }
            _ => ledger::expect(&mut entry, before, changes, now),
        }
    }
    entry
}

/// What is sent for a record, made again from what is stored of it; None where nothing is.
pub fn item(activation: &Activation, record: &Record) -> Option<Item> {
    let changes = record.changes.clone().filter(|changes| !changes.is_empty())?;
    let remote: Option<Remote> = record.before.clone().and_then(|before| serde_json::from_value(before).ok());
    let key = Terms::of(activation, &[]).creation_key(record.key_value.as_deref(), &record.wanted);
    let id = remote.as_ref().map(|remote| remote.id.clone());
    let key = key.filter(|_| id.is_none());
    Some(Item { id, key, tags: tags_after(remote.as_ref(), &changes), changes })
}
