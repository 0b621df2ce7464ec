//! Watch: looks at our webhook in Zendesk, repairs what is ours to repair, and has the exports bring what was lost meanwhile.
//!
//! Three requests a look, on the webhooks API, which has a budget of its own (Z§6): the account's webhooks, the signing
//! secret, the log of deliveries. None of them waits or is tried again: the next look comes soon enough.

use super::context::{Context, FlowError};
use super::webhook;
use crate::config::SecretText;
use crate::db;
use crate::model::job::Lease;
use crate::model::raw_event::Verified;
use crate::model::source::Source;
use crate::model::stream::Stream;
use crate::model::watch::{ROTATION_TAKES, Watch};
use crate::telemetry::{WEBHOOK_DELIVERIES, WEBHOOK_REPAIRS};
use crate::zendesk::deliveries::{self, Log};
use crate::zendesk::error::{ApiError, Kind};
use crate::zendesk::verify::{self, Recipient};
use crate::zendesk::webhooks::{self, Api, Fault, Webhook};
use chrono::{DateTime, Duration, Utc};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// The exports withhold the last minute: read at once, they would not bring what was lost a moment ago.
const EXPORTS_LAG: Duration = Duration::seconds(90);

/// Deliveries that ended a moment ago are looked at the next time: others of the same second may not be in the log yet.
const LOG_LAG: Duration = Duration::seconds(5);

/// Failed deliveries whose bytes are asked for in one look, the earliest first; the next look comes soon for the rest.
const MOST_RECOVERED: usize = 30;

/// How soon that is.
const NEXT_FOR_THE_REST: Duration = Duration::seconds(60);

/// What a look has found and done.
#[derive(Default)]
struct Findings {
    /// Our webhook, where there is one.
    ours: Option<Webhook>,
    /// What was wrong and is repaired.
    repaired: Vec<Fault>,
    /// What is wrong and not repaired.
    left: Vec<Fault>,
    /// Its signing secret.
    secret: Option<SecretText>,
    /// Whether that is another than the stored one.
    is_new_secret: bool,
    /// The log of deliveries since the last look.
    log: Log,
    /// Deliveries that failed and whose bytes are here after all.
    recovered: Vec<Verified>,
    /// Streams that may have what was lost.
    touched: BTreeSet<Stream>,
}

/// Runs a watch job: one look, with what follows from it.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let mut db = ctx.pool.acquire().await?;
    let source = db::source::get(&mut db, lease.source_id).await?;
    let watch = db::webhook_watch::get(&mut db, lease.source_id).await?;
    let (Some(source), Some(mut watch)) = (source, watch) else {
        db::job::finish(&mut db, lease).await?;
        return Ok(());
    };
    let next = ctx.clock.now() + Duration::seconds(ctx.settings.zendesk.webhook_check_secs as i64);
    if !source.state.is_live() || source.paused_at.is_some() {
        db::webhook_watch::set_due_at(&mut db, source.id, next).await?;
        db::job::finish(&mut db, lease).await?;
        return Ok(());
    }
    drop(db);
    let found = match look(ctx, &source, &watch).await {
        Ok(found) => found,
        Err(FlowError::Zendesk(error)) => unseen(&source, &mut watch, &error, ctx.clock.now()),
        Err(error) => return Err(error),
    };
    judge(ctx, &source, &mut watch, &found);
    write(ctx, &source, &watch, found, lease, next).await
}

/// Has a source's webhook looked at now, unless it was within the last minute.
pub async fn soon(pool: &PgPool, source_id: i64, now: DateTime<Utc>) -> db::Result<()> {
    let mut db = pool.acquire().await?;
    db::webhook_watch::bring_forward(&mut db, source_id, now, now - Duration::seconds(60)).await
}

/// A look that failed. Only what lasts is shown; the rest is left to the next look, and streams show the same.
fn unseen(source: &Source, watch: &mut Watch, error: &ApiError, now: DateTime<Utc>) -> Findings {
    if matches!(error.kind, Kind::Forbidden(_) | Kind::MissingScope) && !webhook::is_by_hand(source) {
        let problem = format!("our webhook cannot be looked at or repaired: {error}");
        if watch.note_problem(Some((problem, error.kind.remedy().to_string())), now) {
            tracing::warn!(source = source.name, error = %error, remedy = error.kind.remedy(), "our webhook cannot be looked at");
        }
    }
    tracing::info!(source = source.name, error = %error, "our webhook could not be looked at; the next look comes");
    Findings::default()
}

async fn look(ctx: &Context, source: &Source, watch: &Watch) -> Result<Findings, FlowError> {
    if source.webhook_id.is_none() {
        return Ok(Findings::default());
    }
    let Some(endpoint) = webhook::endpoint(ctx, &source.name) else { return Ok(Findings::default()) };
    let client = ctx.client(source)?;
    let api = Api::passing(&client);
    let mut found = Findings::default();
    let view = webhook::view(&api, source, &endpoint).await?;
    let may = source.settings.repair_webhook && watch.may_repair(ctx.clock.now()) && !webhook::is_by_hand(source);
    let (repairable, left): (Vec<Fault>, Vec<Fault>) =
        view.faults.into_iter().partition(|fault| may && fault.is_ours());
    found.ours = match repairable.is_empty() {
        true => view.survey.ours,
        false => Some(webhooks::repair(&api, &source.name, view.survey, &endpoint).await?),
    };
    (found.repaired, found.left) = (repairable, left);
    let Some(ours) = found.ours.clone() else { return Ok(found) };
    let secret = webhooks::signing_secret(&api, &ours.id).await?;
    found.is_new_secret = !webhook::is_stored(ctx, source, &secret);
    found.secret = Some(secret);
    read_log(ctx, &api, source, watch, &ours.id, &mut found).await;
    Ok(found)
}

/// What became of deliveries since the last look. A log that cannot be read leaves the rest of the look as it is.
async fn read_log(ctx: &Context, api: &Api<'_>, source: &Source, watch: &Watch, id: &str, found: &mut Findings) {
    let until = ctx.clock.now() - LOG_LAG;
    // What failed before the source was connected is no loss.
    let since = watch.log_through.or(source.connected_at);
    match deliveries::log(api, id, since, until, MOST_RECOVERED).await {
        Ok(log) => found.log = log,
        Err(error) => {
            tracing::info!(source = source.name, error = %error, "Zendesk's log of deliveries could not be read");
            return;
        }
    }
    let recipient = recipient(ctx, source, found.secret.as_ref());
    for (invocation, _) in &found.log.lost {
        let Ok(Some(sent)) = deliveries::sent(api, id, invocation).await else {
            found.touched.extend(touched_by(None));
            continue;
        };
        let freshness = Duration::seconds(ctx.settings.webhook.freshness_secs as i64);
        match verify::verify(&recipient, sent.signature(), &sent.body, ctx.clock.now(), freshness) {
            Ok(event) => {
                found.touched.extend(touched_by(event.event_type.as_deref()));
                found.recovered.push(event);
            }
            Err(_) => found.touched.extend(touched_by(None)),
        }
    }
    // The log begins with the latest; they are applied in the order in which they were sent.
    found.recovered.reverse();
}

/// Whom a delivery from the log is for: its signature is checked like that of one that arrives.
fn recipient(ctx: &Context, source: &Source, secret: Option<&SecretText>) -> Recipient {
    let bound_to = source.sealed_as("webhook_secret");
    let sealed = [&source.webhook_secret, &source.webhook_secret_previous];
    let stored = sealed.into_iter().flatten().filter_map(|sealed| ctx.sealer.open_text(sealed, &bound_to).ok());
    Recipient {
        workspace_id: source.workspace_id,
        source_id: source.id,
        name: source.name.clone(),
        secrets: stored.chain(secret.cloned()).collect(),
    }
}

/// The streams that may have what an event told; without a type, all of them.
fn touched_by(event_type: Option<&str>) -> Vec<Stream> {
    let kind = event_type.unwrap_or_default();
    let kind = kind.strip_prefix("zen:event-type:").unwrap_or(kind);
    let people = [Stream::Users, Stream::DeletedUsers];
    let tickets = [Stream::Tickets, Stream::TicketEvents, Stream::Satisfaction, Stream::SurveyResponses];
    match kind.split('.').next() {
        Some("user") => people.to_vec(),
        Some("organization") => vec![Stream::Organizations],
        Some("ticket") => tickets.to_vec(),
        _ => [people.as_slice(), &[Stream::Organizations], &tickets].concat(),
    }
}

/// Says what was found, in the log and in the row that `check` and `source show` read.
fn judge(ctx: &Context, source: &Source, watch: &mut Watch, found: &Findings) {
    let now = ctx.clock.now();
    watch.checked_at = Some(now);
    let words = |faults: &[Fault]| faults.iter().map(Fault::words).collect::<Vec<_>>().join(", ");
    let by_hand = webhook::is_by_hand(source);
    if !found.repaired.is_empty() {
        let what = words(&found.repaired);
        tracing::warn!(
            source = source.name,
            what,
            "our webhook in Zendesk was not as it should be; repaired, and the exports bring what was lost"
        );
        metrics::counter!(WEBHOOK_REPAIRS, "source" => source.name.clone()).increment(1);
        watch.note_repair(what, now);
    }
    if found.is_new_secret && found.repaired.is_empty() && !by_hand {
        tracing::warn!(
            source = source.name,
            "the signing secret of our webhook was replaced in Zendesk; stored, and the exports bring what was refused"
        );
    }
    count(source, watch, found);
    if found.ours.is_none() && found.left.is_empty() {
        return; // nothing was seen
    }
    let mut wrong: Vec<String> = Vec::new();
    if !found.left.is_empty() {
        wrong.push(words(&found.left));
    }
    if by_hand && found.is_new_secret {
        wrong.push("the stored signing secret is not the webhook's".into());
    }
    let problem = (!wrong.is_empty()).then(|| (wrong.join(", "), remedy(source, watch, found, now)));
    if watch.note_problem(problem, now) {
        match (&watch.problem, &watch.remedy) {
            (Some(problem), Some(remedy)) => {
                tracing::warn!(source = source.name, problem, remedy, "our webhook in Zendesk is not as it should be")
            }
            _ => tracing::info!(source = source.name, "our webhook in Zendesk is as it should be again"),
        }
    }
}

fn count(source: &Source, watch: &mut Watch, found: &Findings) {
    let health = found.log.health;
    let recovered = found.recovered.len() as i64;
    for (outcome, number) in
        [("arrived", health.arrived), ("failed", health.failed), ("held", health.held), ("recovered", recovered)]
    {
        metrics::counter!(WEBHOOK_DELIVERIES, "source" => source.name.clone(), "outcome" => outcome)
            .increment(number as u64);
    }
    watch.arrived += health.arrived;
    watch.failed += health.failed;
    watch.held += health.held;
    watch.recovered += recovered;
    watch.log_through = watch.log_through.max(found.log.through);
    if health.lost() > 0 {
        tracing::warn!(
            source = source.name,
            failed = health.failed,
            held_back = health.held,
            recovered,
            "webhooks did not arrive; the exports bring what they told"
        );
    }
}

/// What a person has to do about what is left.
fn remedy(source: &Source, watch: &Watch, found: &Findings, now: DateTime<Utc>) -> String {
    let name = &source.name;
    if webhook::is_by_hand(source) {
        return format!(
            "Put it right in Zendesk (Admin Center > Webhooks); a new signing secret: deskbridge source reconnect {name} --manual-webhook --webhook-secret-file FILE"
        );
    }
    if found.left.iter().all(|fault| !fault.is_ours()) {
        return "Delete it in Zendesk (Admin Center > Webhooks), or give it another address.".into();
    }
    if source.settings.repair_webhook && !watch.may_repair(now) {
        return format!(
            "Somebody undoes each repair, such as another installation with this database's copy: stop that one, then deskbridge source reconnect {name}"
        );
    }
    format!(
        "deskbridge source reconnect {name}, or let it be repaired by itself: deskbridge source set {name} repair_webhook=true"
    )
}

/// Commits what was found with the end of the job: the secret, what was recovered, the streams to read, the next look.
async fn write(
    ctx: &Context,
    source: &Source,
    watch: &Watch,
    found: Findings,
    lease: &Lease,
    next: DateTime<Utc>,
) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let by_hand = webhook::is_by_hand(source);
    let mut tx = ctx.pool.begin().await?;
    let until = now + Duration::seconds(ctx.settings.worker.lease_secs as i64);
    if !db::job::fence(&mut tx, lease, until).await? {
        return Err(FlowError::LeaseLost);
    }
    let next = if found.log.has_more { next.min(now + NEXT_FOR_THE_REST) } else { next };
    let mut touched = found.touched;
    if found.repaired.iter().chain(&found.left).any(Fault::loses) || found.is_new_secret {
        touched.extend(touched_by(None));
    }
    let is_new = |ours: &Webhook| found.is_new_secret || source.webhook_id.as_deref() != Some(&ours.id);
    if let (Some(secret), Some(ours)) = (&found.secret, found.ours.as_ref().filter(|ours| !by_hand && is_new(ours))) {
        webhook::store_secret(ctx, &mut tx, source, &ours.id, secret).await?;
    }
    let broken_off = watch.rotating_since.is_some_and(|since| now - since > ROTATION_TAKES);
    if watch.rotating_since.is_some() && (broken_off || found.is_new_secret) {
        db::webhook_watch::set_rotating(&mut tx, source.id, None).await?;
    }
    if !found.recovered.is_empty() {
        db::raw_event::store(&mut tx, &found.recovered).await?;
        db::job::enqueue_apply(&mut tx, &[source.id], now).await?;
    }
    let touched: Vec<Stream> = touched.into_iter().collect();
    db::checkpoint::set_due(&mut tx, source.id, &touched, now + EXPORTS_LAG).await?;
    db::webhook_watch::record(&mut tx, source.id, watch, next).await?;
    if !db::job::finish(&mut tx, lease).await? {
        return Err(FlowError::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}
