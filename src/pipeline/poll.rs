//! Poll: reads a stream of a source from its checkpoint to its end, a page at a time. Rows and cursor commit together; the
//! next page is fetched while this one is being written.

use super::commit;
use super::context::{Context, FlowError};
use super::fetch::{self, Patience};
use crate::db;
use crate::db::checkpoint::Progress;
use crate::db::run::Ended;
use crate::model::batch::{Batch, Counts};
use crate::model::job::Lease;
use crate::model::source::Source;
use crate::model::stream::{Checkpoint, Stream};
use crate::rules::{retention, retry};
use crate::zendesk::client::Client;
use crate::zendesk::decode;
use crate::zendesk::error::{ApiError, Kind};
use crate::zendesk::progress::Progress as Pages;
use crate::zendesk::stream::{self, FIELD_LISTS, REFUSED_OVERLAP, StreamPage};
use chrono::{DateTime, Duration, Utc};
use std::sync::Arc;

/// Where a reading stands.
#[derive(Debug, Clone)]
struct Position {
    cursor: Option<String>,
    since: DateTime<Utc>,
    page_size: i32,
    /// True once a cursor was refused in this reading: a second one is no accident.
    resumed: bool,
}

/// One reading of a stream.
struct Reading<'a> {
    ctx: &'a Context,
    client: Arc<Client>,
    source: &'a Source,
    stream: Stream,
    lease: &'a Lease,
    read_through: Option<DateTime<Utc>>,
    is_first_pass: bool,
}

/// Runs a poll job: reads the stream named by its key to its end, and says how it went.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let source = db::source::get(&mut db, lease.source_id).await?;
    let stream = Stream::parse(&lease.key);
    let (Some(source), Some(stream)) = (source, stream) else {
        db::job::finish(&mut db, lease).await?;
        return Ok(());
    };
    let Some(checkpoint) = db::checkpoint::get(&mut db, source.id, stream).await? else {
        db::job::finish(&mut db, lease).await?;
        return Ok(());
    };
    let live = source.state.is_live() && source.paused_at.is_none();
    if !live || must_wait(&mut db, &source, stream).await? {
        // Streams that wait for others are looked at again soon; what they wait for brings them forward.
        db::checkpoint::set_due_at(&mut db, source.id, stream, ctx.clock.now() + Duration::seconds(5)).await?;
        db::job::finish(&mut db, lease).await?;
        return Ok(());
    }
    drop(db);
    let started_at = ctx.clock.now();
    let mut counts = Counts::default();
    let outcome = read_all(ctx, &source, stream, &checkpoint, lease, &mut counts).await;
    conclude(ctx, &source, stream, &checkpoint, lease, started_at, &counts, outcome).await
}

/// A first pass waits for the first passes of what it refers to.
async fn must_wait(db: &mut sqlx::PgConnection, source: &Source, stream: Stream) -> Result<bool, FlowError> {
    let all = db::checkpoint::of_source(db, source.id).await?;
    let unread = |wanted: &Stream| {
        all.iter().any(|checkpoint| {
            checkpoint.stream == *wanted && checkpoint.first_caught_up_at.is_none() && checkpoint.error.is_none()
        })
    };
    Ok(stream.waits_for().iter().any(unread))
}

async fn read_all(
    ctx: &Context,
    source: &Source,
    stream: Stream,
    checkpoint: &Checkpoint,
    lease: &Lease,
    counts: &mut Counts,
) -> Result<(), FlowError> {
    let client = ctx.client(source)?;
    let mut reading = Reading {
        ctx,
        client,
        source,
        stream,
        lease,
        read_through: checkpoint.read_through,
        is_first_pass: checkpoint.first_caught_up_at.is_none(),
    };
    let since = checkpoint.read_through.unwrap_or_else(|| first_since(ctx, source, stream));
    let mut position =
        Position { cursor: checkpoint.cursor.clone(), since, page_size: checkpoint.page_size, resumed: false };
    let mut page = reading.page(&mut position).await?;
    let mut progress = Pages::from(position.cursor.as_deref());
    loop {
        if !page.end {
            let step = progress.step(page.cursor.as_deref(), &page.digests);
            step.map_err(|why| ApiError { endpoint: reading.endpoint(&position), kind: Kind::Stalled(why) })?;
        }
        let mut next = position.clone();
        next.cursor = page.cursor.clone().or(next.cursor);
        let ended = page.end;
        if ended {
            reading.write(page, &next, true, counts).await?;
            return Ok(());
        }
        if let Err(stopped) = ctx.may_go_on() {
            reading.write(page, &next, false, counts).await?;
            return Err(stopped);
        }
        let mut ahead = next.clone();
        let (written, fetched) = tokio::join!(reading.write(page, &next, false, counts), reading.page(&mut ahead));
        reading.read_through = written?;
        page = fetched?;
        if ahead.resumed && !position.resumed {
            progress = Pages::from(None); // pages that were read before come again
        }
        position = ahead;
    }
}

/// The first sync reads all people and organizations, and what happened in the retention time (R3, R9).
fn first_since(ctx: &Context, source: &Source, stream: Stream) -> DateTime<Utc> {
    match stream {
        Stream::Users | Stream::Organizations | Stream::Fields | Stream::DeletedUsers => DateTime::UNIX_EPOCH,
        _ => retention::first_sync_since(ctx.clock.now(), &source.settings.retention),
    }
}

impl Reading<'_> {
    /// Reads a page. One that times out is asked for again at half its size; a refused cursor resumes from the last stored
    /// time, with overlap.
    async fn page(&self, position: &mut Position) -> Result<StreamPage, FlowError> {
        if self.stream == Stream::Fields {
            return self.fields().await;
        }
        loop {
            let cursor = position.cursor.as_deref();
            let request =
                stream::request(self.stream, cursor, position.since, position.page_size, self.ctx.clock.now());
            let error = match self.client.get(&request.path).await {
                Ok(body) => match stream::read(
                    self.stream,
                    request.wrapper,
                    &body,
                    cursor,
                    position.since,
                    self.ctx.clock.now(),
                    &self.ctx.decode(self.source),
                ) {
                    Ok(page) => return Ok(page),
                    Err(error) => {
                        ApiError { endpoint: endpoint(&request.path), kind: Kind::BadBody(error.to_string()) }
                    }
                },
                Err(error) => error,
            };
            match &error.kind {
                Kind::TimedOut | Kind::TooLarge(_) if position.page_size > 1 => {
                    position.page_size = (position.page_size / 2).max(1);
                    tracing::warn!(
                        source = self.source.name,
                        stream = self.stream.as_str(),
                        page_size = position.page_size,
                        error = %error,
                        "asking for smaller pages"
                    );
                }
                Kind::Refused { status: 400 | 404 | 410 | 422, code }
                    if cursor.is_some() && !position.resumed && code != "StartTimeTooRecent" =>
                {
                    position.since = self
                        .read_through
                        .map_or_else(|| first_since(self.ctx, self.source, self.stream), |at| at - REFUSED_OVERLAP);
                    position.cursor = None;
                    position.resumed = true;
                    tracing::warn!(source = self.source.name, stream = self.stream.as_str(), since = %position.since, code, "Zendesk refuses the cursor; resuming from the last stored time with overlap");
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// The endpoint that the page at a position comes from.
    fn endpoint(&self, position: &Position) -> String {
        let cursor = position.cursor.as_deref();
        endpoint(&stream::request(self.stream, cursor, position.since, 1, self.ctx.clock.now()).path)
    }

    /// All definitions of custom fields, as one page.
    async fn fields(&self) -> Result<StreamPage, FlowError> {
        let mut all = StreamPage { end: true, ..StreamPage::default() };
        for (list, entity) in FIELD_LISTS {
            let mut after: Option<String> = None;
            let mut progress = Pages::default();
            loop {
                let path = stream::fields_path(list, after.as_deref());
                let body = self.client.get(&path).await?;
                let page = decode::page(&body, list)
                    .map_err(|error| ApiError { endpoint: endpoint(&path), kind: Kind::BadBody(error.to_string()) })?;
                let (defs, refused) = decode::field_defs(entity, &page.records);
                all.read += page.records.len();
                all.batch.fields.extend(defs);
                all.batch.refused.extend(refused);
                if page.has_more != Some(true) {
                    break;
                }
                let rows: Vec<&str> = page.records.iter().map(|record| record.get()).collect();
                let step = progress.step(page.after_cursor.as_deref(), &rows);
                step.map_err(|why| ApiError { endpoint: endpoint(&path), kind: Kind::Stalled(why) })?;
                after = page.after_cursor;
            }
        }
        Ok(all)
    }

    /// Applies a page and moves the checkpoint in one transaction. Answers how far the stream has been read.
    async fn write(
        &self,
        page: StreamPage,
        next: &Position,
        ended: bool,
        counts: &mut Counts,
    ) -> Result<Option<DateTime<Utc>>, FlowError> {
        let mut batch = page.batch;
        self.complete(&mut batch).await?;
        let mut tx = commit::begin(self.ctx, self.source, Some(self.lease)).await?;
        let env = commit::env(self.ctx, self.source);
        let mut applied = commit::apply_all(&mut tx, &env, batch).await?;
        applied.read = page.read as u64;
        let interval = interval(self.ctx, self.source, self.stream);
        // An empty page moves the checkpoint only with what comes after it: pages that are empty for ever are an error.
        let moves = page.read > 0 || ended;
        let read_through = page.read_through.filter(|_| moves).max(self.read_through);
        let progress = Progress {
            cursor: page.cursor.as_deref().filter(|_| moves),
            read_through,
            page_size: if ended { self.recovered_page_size(next.page_size) } else { next.page_size },
            now: env.now,
            next_due_at: ended.then(|| env.now + interval),
        };
        db::checkpoint::advance(&mut tx, self.source.id, self.stream, &progress).await?;
        if ended && self.is_first_pass {
            let waiting: Vec<Stream> =
                Stream::ALL.into_iter().filter(|stream| stream.waits_for().contains(&self.stream)).collect();
            db::checkpoint::set_due(&mut tx, self.source.id, &waiting, env.now).await?;
        }
        if ended && self.stream == Stream::Users {
            db::activation::after_sync(&mut tx, self.source.workspace_id, self.source.id, env.now).await?;
        }
        if ended && !db::job::finish(&mut tx, self.lease).await? {
            return Err(FlowError::LeaseLost);
        }
        tx.commit().await?;
        *counts += applied;
        Ok(read_through)
    }

    /// A page size that was halved grows back once a stream has been read to its end.
    fn recovered_page_size(&self, page_size: i32) -> i32 {
        page_size.saturating_mul(2).min(self.ctx.settings.zendesk.page_size as i32)
    }

    /// Reads what the page refers to and nobody knows: a ticket brings its contact (R24), an event its ticket.
    async fn complete(&self, batch: &mut Batch) -> Result<(), FlowError> {
        if !matches!(
            self.stream,
            Stream::Tickets | Stream::TicketEvents | Stream::Satisfaction | Stream::SurveyResponses
        ) {
            return Ok(());
        }
        // Twice at most: tickets that were missing may name users who are.
        for _ in 0..2 {
            let wanted = fetch::missing(self.ctx, self.source, batch).await?;
            if wanted.is_empty() {
                return Ok(());
            }
            fetch::fetch(self.ctx, &self.client, self.source, &wanted, Patience::Wait, batch).await?;
        }
        Ok(())
    }
}

fn endpoint(path: &str) -> String {
    format!("GET {}", path.split('?').next().unwrap_or(path))
}

/// How often a stream is read.
fn interval(ctx: &Context, source: &Source, stream: Stream) -> Duration {
    let zendesk = &ctx.settings.zendesk;
    let default = if stream.is_contacts() { zendesk.contacts_every_secs } else { zendesk.others_every_secs };
    Duration::seconds(source.settings.every_secs.get(&stream).copied().unwrap_or(default) as i64)
}

#[expect(clippy::too_many_arguments, reason = "the facts of one run, used once")]
async fn conclude(
    ctx: &Context,
    source: &Source,
    stream: Stream,
    checkpoint: &Checkpoint,
    lease: &Lease,
    started_at: DateTime<Utc>,
    counts: &Counts,
    outcome: Result<(), FlowError>,
) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let seconds = (now - started_at).as_seconds_f64();
    metrics::histogram!("deskbridge_run_duration_seconds", "kind" => "poll", "stream" => stream.as_str())
        .record(seconds);
    if matches!(outcome, Err(FlowError::LeaseLost | FlowError::Stopped | FlowError::Database(_))) {
        return outcome;
    }
    let error = outcome.as_ref().err().map(ToString::to_string);
    let mut tx = ctx.pool.begin().await?;
    if counts.read > 0 || error.is_some() {
        let run = Ended {
            kind: "poll",
            source_id: Some(source.id),
            stream: Some(stream.as_str()),
            started_at,
            finished_at: now,
            counts,
            error: error.as_deref(),
        };
        db::run::record(&mut tx, &run).await?;
    }
    match outcome {
        Ok(()) => {
            tracing::info!(
                source = source.name,
                stream = stream.as_str(),
                read = counts.read,
                people = counts.people_created + counts.people_updated,
                tickets = counts.tickets,
                activities = counts.activities,
                dead_letters = counts.dead_letters,
                seconds,
                "stream read to its end"
            );
            if db::source::recover(&mut tx, source.id, now).await? {
                tracing::info!(source = source.name, "source works again");
            }
        }
        Err(failure) => fail(ctx, &mut tx, source, stream, checkpoint, lease, &failure).await?,
    }
    if db::source::finish_first_sync(&mut tx, source.id, now).await? {
        tracing::info!(source = source.name, "first sync complete");
    }
    tx.commit().await?;
    Ok(())
}

/// An account has ratings either classic or by survey: that the other kind is not there is no failure.
async fn is_replaced(
    db: &mut sqlx::PgConnection,
    source: &Source,
    stream: Stream,
    failure: &FlowError,
) -> Result<bool, FlowError> {
    let absent = matches!(
        failure,
        FlowError::Zendesk(ApiError { kind: Kind::NotFound | Kind::Forbidden(_) | Kind::MissingScope, .. })
    );
    let Some(alternative) = stream.alternative().filter(|_| absent) else { return Ok(false) };
    let alternative = db::checkpoint::get(db, source.id, alternative).await?;
    Ok(alternative.is_some_and(|other| other.caught_up_at.is_some() && other.error.is_none()))
}

/// Looks at a stream that the account does not have again in a day.
async fn put_aside(
    ctx: &Context,
    db: &mut sqlx::PgConnection,
    source: &Source,
    stream: Stream,
    checkpoint: &Checkpoint,
    lease: &Lease,
) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let progress = Progress {
        cursor: None,
        read_through: None,
        page_size: checkpoint.page_size,
        now,
        next_due_at: Some(now + Duration::days(1)),
    };
    tracing::info!(
        source = source.name,
        stream = stream.as_str(),
        "the account has another kind of ratings; looking again in a day"
    );
    db::checkpoint::advance(db, source.id, stream, &progress).await?;
    db::job::finish(db, lease).await?;
    Ok(())
}

/// Shows the failure with its remedy and schedules the next try. Only this stream is held up.
async fn fail(
    ctx: &Context,
    db: &mut sqlx::PgConnection,
    source: &Source,
    stream: Stream,
    checkpoint: &Checkpoint,
    lease: &Lease,
    failure: &FlowError,
) -> Result<(), FlowError> {
    if is_replaced(db, source, stream, failure).await? {
        return put_aside(ctx, db, source, stream, checkpoint, lease).await;
    }
    let now = ctx.clock.now();
    let every = interval(ctx, source, stream).to_std().unwrap_or_default();
    let backoff = retry::poll_backoff(checkpoint.failures as u32 + 1, every);
    let wait = match failure {
        FlowError::Zendesk(ApiError {
            kind: Kind::RateLimited { retry_after: wait } | Kind::BudgetSpent(wait),
            ..
        }) => *wait,
        FlowError::Zendesk(ApiError { kind: Kind::Refused { code, .. }, .. }) if code == "StartTimeTooRecent" => {
            std::time::Duration::from_secs(60)
        }
        _ => backoff,
    };
    let due_at = now + Duration::from_std(wait).unwrap_or(Duration::hours(1));
    let (error, remedy) = (failure.to_string(), failure.remedy());
    tracing::warn!(source = source.name, stream = stream.as_str(), error, remedy, due_at = %due_at, "stream could not be read; it is tried again");
    db::checkpoint::fail(db, source.id, stream, &error, remedy, now, due_at).await?;
    if matches!(
        failure,
        FlowError::Zendesk(ApiError { kind: Kind::Unauthorized | Kind::NotRenewed(_) | Kind::NeedsReconnect(_), .. })
            | FlowError::Sealed(_)
    ) {
        let error = match failure {
            // The same whatever was read: it is the source's, not a request's.
            FlowError::Zendesk(ApiError { kind: kind @ Kind::NeedsReconnect(_), .. }) => kind.to_string(),
            _ => error,
        };
        db::source::fail(db, source.id, &error, remedy, now).await?;
    }
    db::job::finish(db, lease).await?;
    Ok(())
}
