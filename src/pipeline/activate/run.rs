//! The push job of a source: plans, sends and settles, run by run, until nothing is left to do.
//!
//! It works in turns. Each asks for calls that are under way, lets activations that are always on take up what changed, and
//! does one piece of one run: a page of rows, or a call. What a turn leaves open tells when the next is due.

use super::ahead::Ahead;
use super::conclude::{self, Left};
use super::env::{self, Env};
use super::stored::Stored;
use super::{always, plan, poll, reading, send, start};
use crate::db;
use crate::db::push_run::Run;
use crate::model::job::{JobKind, Lease};
use crate::model::push::{RunKind, RunState};
use crate::model::record::digest;
use crate::model::source::Source;
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::stage;
use chrono::{DateTime, Duration, Utc};
use std::collections::HashMap;
use tokio_util::task::AbortOnDropHandle;

/// A job waits for what comes so soon; for what comes later another one is asked for.
const SOON: Duration = Duration::seconds(5);

/// While it waits it looks so often whether somebody became due.
const NAP: std::time::Duration = std::time::Duration::from_millis(250);

/// How long nothing is tried for an activation that failed: as long as it has been failing, within these.
const HOLD: (Duration, Duration) = (Duration::seconds(10), Duration::minutes(10));

/// Runs a push job.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut work = Work { ctx, lease, envs: HashMap::new(), ahead: None, reading: None, next: None };
    loop {
        ctx.may_go_on()?;
        let source = db::source::get(&mut *ctx.pool.acquire().await?, lease.source_id).await?;
        let Some(source) = source.filter(|source| source.paused_at.is_none() && source.state.is_live()) else {
            return end(ctx, lease, None).await;
        };
        if work.turn(&source).await? {
            continue;
        }
        let now = ctx.clock.now();
        match work.next {
            Some(next) if next <= now + SOON => {
                let left = (next - now).to_std().unwrap_or_default();
                ctx.clock.sleep(left.clamp(std::time::Duration::from_millis(1), NAP)).await;
            }
            next => return end(ctx, lease, next).await,
        }
    }
}

/// Ends the job, and asks for the next one in the same transaction.
async fn end(ctx: &Context, lease: &Lease, next: Option<DateTime<Utc>>) -> Result<(), FlowError> {
    let mut tx = ctx.pool.begin().await?;
    if !db::job::finish(&mut tx, lease).await? {
        return Err(FlowError::LeaseLost);
    }
    if let Some(next) = next {
        db::job::enqueue(&mut tx, JobKind::Push, lease.source_id, "", next).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// An activation that is open, and what it was opened from.
struct Opened {
    env: Env,
    print: i64,
}

struct Work<'a> {
    ctx: &'a Context,
    lease: &'a Lease,
    envs: HashMap<i64, Opened>,
    /// What was read for the next call.
    ahead: Option<Ahead>,
    /// The query that is being read, for which run: one at a time, beside everything else.
    reading: Option<(i64, AbortOnDropHandle<Result<(), FlowError>>)>,
    /// When there is something to do again, as far as this turn knows.
    next: Option<DateTime<Utc>>,
}

impl Work<'_> {
    /// One turn. True when there may be more to do at once.
    async fn turn(&mut self, source: &Source) -> Result<bool, FlowError> {
        self.next = None;
        let all = self.activations(source).await?;
        let client = self.ctx.client(source)?;
        // An answer of Zendesk takes long: it is asked for calls under way while the next ones go out.
        let (asked, busy) = tokio::join!(poll::ask(self.ctx, source, &client), self.pieces(source, &all));
        let polled = poll::poll(self.ctx, self.lease, source, &client, asked?).await?;
        self.wake_at(polled.next_at);
        Ok(busy? | polled.moved)
    }

    /// What there is to do besides asking: who became due is taken up, and a piece of a run is done.
    async fn pieces(&mut self, source: &Source, all: &[Stored]) -> Result<bool, FlowError> {
        let mut busy = false;
        for one in all {
            if self.is_ready(one, RunKind::Always) {
                let begun = start::due(self.ctx, self.lease, source, one).await;
                busy |= self.told(source, one, begun).await?;
            }
            if one.activation.when.always && self.is_ready(one, RunKind::Always) {
                let taken = self.take_up(source, one).await;
                busy |= self.told(source, one, taken).await?;
            }
        }
        Ok(busy | self.one_piece(source, all).await?)
    }

    /// Takes up whom something changed about.
    async fn take_up(&mut self, source: &Source, one: &Stored) -> Result<bool, FlowError> {
        let waits = {
            let mut db = self.ctx.pool.acquire().await?;
            db::activation_due::any(&mut db, source.workspace_id, one.id).await?
        };
        if !waits {
            return Ok(false);
        }
        let env = self.open(source, one, None).await?;
        always::step(self.ctx, self.lease, &env, one).await
    }

    /// The activations of the source. One that cannot be read holds up no other.
    async fn activations(&self, source: &Source) -> Result<Vec<Stored>, FlowError> {
        let rows = {
            let mut db = self.ctx.pool.acquire().await?;
            db::activation::of_source(&mut db, source.workspace_id, source.id).await?
        };
        let mut all = Vec::new();
        for row in rows {
            let (id, held, since) = (row.id, row.held_until, row.failing_since);
            match Stored::of(row) {
                Ok(stored) => all.push(stored),
                Err(error) if held.is_none_or(|until| until <= self.ctx.clock.now()) => {
                    self.hold(source, id, since, &error).await?;
                }
                Err(_) => {}
            }
        }
        Ok(all)
    }

    /// Does a piece of the first run that allows it: what is asked for by hand first, what changed before what is looked
    /// at as a whole, and the older one before the newer. True when one was done.
    async fn one_piece(&mut self, source: &Source, all: &[Stored]) -> Result<bool, FlowError> {
        let mut runs = {
            let mut db = self.ctx.pool.acquire().await?;
            db::push_run::active(&mut db, source.workspace_id, source.id).await?
        };
        // Who stopped the run wants its query to end, too.
        self.reading.take_if(|(id, _)| !runs.iter().any(|run| run.id == *id));
        runs.sort_by_key(|run| match run.kind {
            RunKind::Test => 0,
            RunKind::Always => 1,
            RunKind::Plan | RunKind::Run | RunKind::Undo => 2,
        });
        for run in &runs {
            let Some(one) = all.iter().find(|one| one.id == run.activation_id) else { continue };
            if self.is_ready(one, run.kind) {
                let done = self.piece(source, one, run).await;
                if self.told(source, one, done).await? {
                    return Ok(true);
                }
            } else {
                self.wake_at(one.held_until);
            }
        }
        Ok(false)
    }

    /// Does a piece of a run. True when something was done.
    async fn piece(&mut self, source: &Source, one: &Stored, run: &Run) -> Result<bool, FlowError> {
        let env = self.open(source, one, Some(run)).await?;
        if run.state == RunState::Planning && reading::is_unread(&env, run) {
            return self.read(&env, run).await;
        }
        if run.state == RunState::Planning {
            plan::page(self.ctx, self.lease, &env, run).await?;
            return Ok(true);
        }
        if run.state == RunState::Sending && conclude::halted(self.ctx, self.lease, &env, run).await? {
            return Ok(true);
        }
        // Before-images are taken of all, whichever are sent first.
        let reads = Run { stage: stage::ALL, ..run.clone() };
        let taken = if run.state == RunState::Reading { &reads } else { run };
        let sent = send::chunk(self.ctx, self.lease, &env, taken, &mut self.ahead).await?;
        self.wake_at(sent.wait.and_then(|wait| Some(self.ctx.clock.now() + Duration::from_std(wait).ok()?)));
        if sent.records > 0 || sent.wait.is_some() {
            return Ok(sent.records > 0);
        }
        match conclude::conclude(self.ctx, self.lease, &env, one, run).await? {
            Left::Nothing => Ok(true),
            Left::Until(at) => {
                self.wake_at(Some(at));
                Ok(false)
            }
        }
    }

    /// Has the query of a run be read meanwhile, which may take minutes. True when it has been.
    async fn read(&mut self, env: &Env, run: &Run) -> Result<bool, FlowError> {
        if let Some((_, reading)) = self.reading.take_if(|(id, reading)| *id == run.id && reading.is_finished()) {
            let lost = |_| FlowError::State("the reading of a query came to no end; it is read again".into());
            return reading.await.map_err(lost)?.map(|()| true);
        }
        if self.reading.is_none() {
            let (ctx, lease, env, of) = (self.ctx.clone(), self.lease.clone(), env.clone(), run.clone());
            let reading = tokio::spawn(async move { reading::read(&ctx, &lease, &env, &of).await });
            self.reading = Some((run.id, AbortOnDropHandle::new(reading)));
        }
        self.wake_at(Some(self.ctx.clock.now() + Duration::milliseconds(NAP.as_millis() as i64)));
        Ok(false)
    }

    /// An activation, opened: as it was when the run began, or as it is now.
    async fn open(&mut self, source: &Source, one: &Stored, run: Option<&Run>) -> Result<Env, FlowError> {
        let definition = run.map_or(&one.activation.written, |run| &run.definition);
        let print = digest(&(definition, &source.settings, &source.credentials), 0);
        if let Some(opened) = self.envs.get(&one.id)
            && opened.print == print
            && env::is_current(self.ctx, &opened.env)
        {
            return Ok(opened.env.clone());
        }
        let env = env::open(self.ctx, &start::as_of(one, definition)?).await?;
        self.envs.insert(one.id, Opened { env: env.clone(), print });
        Ok(env)
    }

    /// Whether something may be done for an activation: while it is paused, only what is asked for by hand.
    fn is_ready(&self, one: &Stored, kind: RunKind) -> bool {
        let by_hand = matches!(kind, RunKind::Plan | RunKind::Test | RunKind::Undo);
        (one.paused_at.is_none() || by_hand) && one.held_until.is_none_or(|until| until <= self.ctx.clock.now())
    }

    /// What came of a piece of work for an activation. What is wrong with one is noted, and holds up no other.
    async fn told(&mut self, source: &Source, one: &Stored, done: Result<bool, FlowError>) -> Result<bool, FlowError> {
        match done {
            Err(error @ (FlowError::Database(_) | FlowError::LeaseLost | FlowError::Stopped)) => Err(error),
            Err(error) => {
                self.envs.remove(&one.id);
                let since = one.trouble.as_ref().and_then(|trouble| trouble.since);
                let until = self.hold(source, one.id, since, &error).await?;
                self.wake_at(Some(until));
                Ok(false)
            }
            Ok(busy) => {
                if busy && one.trouble.is_some() {
                    let mut tx = plan::begin(self.ctx, self.lease).await?;
                    let now = self.ctx.clock.now();
                    db::activation::set_trouble(&mut tx, source.workspace_id, one.id, None, now).await?;
                    tx.commit().await?;
                }
                Ok(busy)
            }
        }
    }

    /// Notes what is wrong with an activation, and until when nothing is tried for it.
    async fn hold(
        &self,
        source: &Source,
        id: i64,
        since: Option<DateTime<Utc>>,
        error: &FlowError,
    ) -> Result<DateTime<Utc>, FlowError> {
        let now = self.ctx.clock.now();
        let until = now + (now - since.unwrap_or(now)).clamp(HOLD.0, HOLD.1);
        tracing::warn!(activation = id, error = %error, "an activation failed; it is tried again");
        let mut tx = plan::begin(self.ctx, self.lease).await?;
        let trouble = (error.to_string(), error.remedy());
        db::activation::set_trouble(&mut tx, source.workspace_id, id, Some((&trouble.0, trouble.1)), now).await?;
        db::activation::hold(&mut tx, source.workspace_id, id, Some(until)).await?;
        tx.commit().await?;
        Ok(until)
    }

    fn wake_at(&mut self, at: Option<DateTime<Utc>>) {
        self.next = self.next.into_iter().chain(at).min();
    }
}
