//! Calls on their way: each is stored before it is sent, sent once, and what Zendesk answers is stored at once.

use super::env::Env;
use super::hold::Hold;
use super::made;
use super::results::{self, Lost, Place, Result as Outcome};
use crate::db;
use crate::model::push::Fault;
use crate::pipeline::context::{Context, FlowError};
use crate::zendesk::error::Kind;
use crate::zendesk::push::{self, Call, Item, Refusal, Taken};
use std::collections::VecDeque;
use std::time::Duration;

/// What a call is refused with where the account may not import in bulk (H5); for an hour single calls take its place.
pub const BULK_IMPORT_OFF: &str = "Data imports are not enabled for this account: users are created one by one, one a second. Ask Zendesk Support to enable bulk import.";

/// The longest wait for a budget within a round.
const SHORT: Duration = Duration::from_secs(2);

/// Short waits for a budget before a call goes back.
const WAITS: u32 = 5;

/// A record of a call: its place in the run and what is sent for it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its place in the run.
    pub seq: i64,
    /// One item; of memberships one each.
    pub items: Vec<Item>,
}

/// A call that is stored and not yet sent.
#[derive(Debug)]
pub struct Stored {
    /// Its number.
    pub job: i64,
    /// The run.
    pub run: i64,
    /// What is called.
    pub call: Call,
    /// Its records.
    pub members: Vec<Member>,
}

/// Why a call is not sent now.
enum Stop {
    /// Zendesk or a budget asks for a wait.
    Wait(Duration),
    /// Nothing can be sent.
    Error(FlowError),
}

/// Sends calls that are stored. Answers how long to wait where Zendesk or a budget asks for it; what was not sent goes back.
pub async fn send(
    ctx: &Context,
    hold: &mut Hold<'_>,
    env: &Env,
    calls: Vec<Stored>,
) -> Result<Option<Duration>, FlowError> {
    let mut queue = VecDeque::from(calls);
    while let Some(call) = queue.pop_front() {
        let Err(stop) = one(ctx, hold, env, &call, &mut queue).await? else { continue };
        // Nobody sent these: they go back as a whole, and are looked at again before they are sent.
        for call in std::iter::once(call).chain(queue.drain(..)) {
            back(ctx, hold, env, &call, None).await?;
        }
        return match stop {
            Stop::Wait(wait) => Ok(Some(wait)),
            Stop::Error(error) => Err(error),
        };
    }
    Ok(None)
}

/// Sends one call and stores what came of it.
async fn one(
    ctx: &Context,
    hold: &mut Hold<'_>,
    env: &Env,
    call: &Stored,
    queue: &mut VecDeque<Stored>,
) -> Result<Result<(), Stop>, FlowError> {
    let items: Vec<Item> = call.members.iter().flat_map(|member| member.items.clone()).collect();
    let mut waits = 0;
    let taken = loop {
        hold.fresh().await?;
        match push::send(&env.client, call.call, &items).await {
            Err(Refusal::Api(error)) if waits < WAITS && short(&error.kind).is_some() => {
                waits += 1;
                ctx.clock.sleep(short(&error.kind).unwrap_or_default()).await;
            }
            taken => break taken,
        }
    };
    let now = ctx.clock.now();
    let (workspace, job) = (env.workspace, call.job);
    match taken {
        Ok(Taken::Job(status)) => {
            let mut held = hold.begin().await?;
            db::push_job::sent(&mut held.tx, workspace, job, &status.id, now).await?;
            hold.commit(held).await?;
        }
        Ok(Taken::Rows(rows)) => {
            let records = db::push_sent::of_job(&mut *ctx.pool.acquire().await?, workspace, job).await?;
            let results = results::read(call.call, &records, &rows);
            let lost = made::lost(ctx, (&env.client, env.source.id), call.call, &records, &results).await?;
            answered(ctx, hold, env, call, |records| results::read(call.call, records, &rows), &lost).await?
        }
        Err(Refusal::Unknown(error)) => {
            let words = error.to_string();
            let mut held = hold.begin().await?;
            db::push_job::unknown(&mut held.tx, workspace, job, &words, Some(now)).await?;
            hold.commit(held).await?;
        }
        Err(Refusal::TooManyJobs) => {
            return Ok(Err(Stop::Wait(Duration::from_millis(ctx.settings.activation.poll_ms))));
        }
        Err(Refusal::BulkImportOff) => back(ctx, hold, env, call, Some(BULK_IMPORT_OFF)).await?,
        Err(Refusal::TooLarge) => {
            halve(ctx, hold, env, call, Fault::new("too_large", "Zendesk does not take a record of this size"), queue)
                .await?;
        }
        Err(Refusal::Invalid(fault)) => halve(ctx, hold, env, call, fault, queue).await?,
        Err(Refusal::Api(error)) => match &error.kind {
            Kind::BudgetSpent(wait) | Kind::RateLimited { retry_after: wait } => return Ok(Err(Stop::Wait(*wait))),
            // Something in it is not taken: what, the halves tell.
            Kind::Refused { status: 400 | 422, code } => {
                let fault = Fault::new("refused", format!("Zendesk refused the call ({code})"));
                halve(ctx, hold, env, call, fault, queue).await?;
            }
            _ => return Ok(Err(Stop::Error(error.into()))),
        },
    }
    Ok(Ok(()))
}

/// The wait for a budget, where it is worth waiting here.
fn short(kind: &Kind) -> Option<Duration> {
    match kind {
        Kind::BudgetSpent(wait) if *wait <= SHORT => Some((*wait).max(Duration::from_millis(1))),
        _ => None,
    }
}

/// Gives the records of a call their results, and ends it when each has one.
async fn answered(
    ctx: &Context,
    hold: &mut Hold<'_>,
    env: &Env,
    call: &Stored,
    read: impl FnOnce(&[db::push_record::Record]) -> Vec<Option<Outcome>>,
    lost: &Lost,
) -> Result<(), FlowError> {
    let place = Place { workspace: env.workspace, source: env.source.id, now: ctx.clock.now() };
    let mut held = hold.begin().await?;
    let records = db::push_sent::of_job(&mut held.tx, place.workspace, call.job).await?;
    let results = read(&records);
    if results::apply(&mut held.tx, place, call.call, &records, results, lost).await? == 0 {
        db::push_job::end(&mut held.tx, place.workspace, call.job, None, place.now).await?;
    } else {
        let words = "Zendesk did not tell what became of it";
        db::push_job::unknown(&mut held.tx, place.workspace, call.job, words, Some(place.now)).await?;
    }
    hold.commit(held).await
}

/// Ends a call that was certainly not taken: its records wait to be sent again.
async fn back(
    ctx: &Context,
    hold: &mut Hold<'_>,
    env: &Env,
    call: &Stored,
    remedy: Option<&str>,
) -> Result<(), FlowError> {
    let place = Place { workspace: env.workspace, source: env.source.id, now: ctx.clock.now() };
    let mut held = hold.begin().await?;
    let records = db::push_sent::of_job(&mut held.tx, place.workspace, call.job).await?;
    let results = records.iter().map(|_| Some(Outcome::Unsent)).collect();
    results::apply(&mut held.tx, place, call.call, &records, results, &Lost::new()).await?;
    db::push_job::end(&mut held.tx, place.workspace, call.job, remedy, place.now).await?;
    hold.commit(held).await
}

/// A call that was certainly not taken for what it holds: two halves take its place, and a single record fails.
async fn halve(
    ctx: &Context,
    hold: &mut Hold<'_>,
    env: &Env,
    call: &Stored,
    fault: Fault,
    queue: &mut VecDeque<Stored>,
) -> Result<(), FlowError> {
    if call.members.len() == 1 {
        let failed = |records: &[db::push_record::Record]| {
            records.iter().map(|_| Some(Outcome::Failed(fault.clone()))).collect()
        };
        return answered(ctx, hold, env, call, failed, &Lost::new()).await;
    }
    let (now, source) = (ctx.clock.now(), env.source.id);
    let (left, right) = call.members.split_at(call.members.len() / 2);
    let mut held = hold.begin().await?;
    db::push_job::end(&mut held.tx, env.workspace, call.job, Some(&fault.reason), now).await?;
    let mut stored = Vec::new();
    for members in [left, right] {
        let place = (call.run, source);
        let name = call.call.as_str();
        let job = db::push_job::store(&mut held.tx, env.workspace, place, name, members.len(), now).await?;
        db::push_sent::reassign(&mut held.tx, env.workspace, (call.run, job), &places(members), now).await?;
        stored.push(Stored { job, members: members.to_vec(), ..*call });
    }
    hold.commit(held).await?;
    for call in stored.into_iter().rev() {
        queue.push_front(call);
    }
    Ok(())
}

/// The records of a call and their places in it.
pub fn places(members: &[Member]) -> Vec<(i64, i32)> {
    let mut next = 0;
    let place = |member: &Member| {
        let at = next;
        next += i32::try_from(member.items.len()).unwrap_or(i32::MAX);
        (member.seq, at)
    };
    members.iter().map(place).collect()
}
