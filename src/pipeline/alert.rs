//! Alerts: looks whether operators are to be told of something, and tells them: by the log, a webhook, e-mail.
//!
//! What is told stands in the same transaction as the alert and is sent afterwards, at least once: a daemon that dies between
//! an answer and its note sends again, under the same number. A message is tried a bounded number of times.

use super::context::{Context, FlowError};
use crate::config::{Alerts, Settings};
use crate::db;
use crate::db::alert::{Message, Tried};
use crate::model::alert::{Alert, AlertKind, Channel, CredentialFacts, News};
use crate::model::job::Lease;
use crate::model::source::{API_TOKENS_END, Credentials};
use crate::notify::SendError;
use crate::notify::email::{Email, Letter};
use crate::notify::webhook::Webhook;
use crate::rules::alert::{self, Limits, Step};
use chrono::{DateTime, Duration, NaiveTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// Runs of each kind by which a run is judged.
const RUNS: i64 = 12;

/// How soon a message that waits is looked at again.
const SOONEST: Duration = Duration::seconds(10);

/// How often somebody looks.
pub fn interval(settings: &Settings) -> Duration {
    Duration::seconds(settings.alerts.check_secs as i64)
}

/// The channels that are configured.
pub fn channels(settings: &Alerts) -> Vec<Channel> {
    let webhook = (!settings.webhook_url.expose().is_empty()).then_some(Channel::Webhook);
    let email = (!settings.email_to.is_empty()).then_some(Channel::Email);
    webhook.into_iter().chain(email).collect()
}

/// Runs an alert job: one look, then what is to be sent.
pub async fn run(ctx: &Context, lease: &Lease) -> Result<(), FlowError> {
    let workspaces = db::workspace::all(&mut *ctx.pool.acquire().await?).await?;
    for workspace in &workspaces {
        look(ctx, lease, *workspace).await?;
        tell(ctx, lease, *workspace).await?;
    }
    let now = ctx.clock.now();
    let mut tx = ctx.pool.begin().await?;
    let mut due_at = now + interval(&ctx.settings);
    for workspace in workspaces {
        let next_at = db::alert::next_at(&mut tx, workspace).await?;
        due_at = next_at.map_or(due_at, |next_at| due_at.min(next_at.max(now + SOONEST)));
    }
    db::schedule::done(&mut tx, "alert", now, due_at).await?;
    if !db::job::finish(&mut tx, lease).await? {
        return Err(FlowError::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}

async fn fence(ctx: &Context, db: &mut PgConnection, lease: &Lease) -> Result<(), FlowError> {
    let until = ctx.clock.now() + Duration::seconds(ctx.settings.worker.lease_secs as i64);
    if db::job::fence(db, lease, until).await? { Ok(()) } else { Err(FlowError::LeaseLost) }
}

/// Opens, repeats and ends alerts by what is the matter now, with a message for every channel.
async fn look(ctx: &Context, lease: &Lease, workspace: i64) -> Result<(), FlowError> {
    let now = ctx.clock.now();
    let limits = limits(&ctx.settings.alerts);
    let mut tx = ctx.pool.begin().await?;
    fence(ctx, &mut tx, lease).await?;
    let activations = db::alert::activations(&mut tx, workspace).await?;
    let runs = db::alert::runs(&mut tx, workspace, RUNS).await?;
    let mut matters = alert::of_activations(&activations, &runs, &limits, now);
    matters.extend(alert::of_credentials(&credentials(ctx, &mut tx, workspace).await?, &limits, now));
    for step in alert::steps(db::alert::open(&mut tx, workspace).await?, matters, now) {
        let (alert, news) = match step {
            Step::Open(matter) => {
                let id = db::alert::insert(&mut tx, workspace, &matter, now).await?;
                (begun(id, matter.kind, matter.about, matter.words, now), News::Opened)
            }
            Step::Tell(alert, news) => {
                let recovered_at = (news == News::Recovered).then_some(now);
                let alert = Alert { told_at: now, recovered_at, ..alert };
                db::alert::told(&mut tx, workspace, &alert, now).await?;
                (alert, news)
            }
        };
        for channel in channels(&ctx.settings.alerts) {
            db::alert::put_message(&mut tx, workspace, alert.id, channel, &body(&alert, news), now).await?;
        }
        log(&alert, news);
    }
    let kept = Duration::days(i64::from(ctx.settings.retention.run_days));
    db::alert::forget(&mut tx, workspace, now - kept).await?;
    tx.commit().await?;
    Ok(())
}

fn begun(id: i64, kind: AlertKind, about: String, words: String, now: DateTime<Utc>) -> Alert {
    Alert { id, kind, about, words, opened_at: now, told_at: now, recovered_at: None }
}

fn limits(settings: &Alerts) -> Limits {
    Limits {
        failing: Duration::seconds(settings.failing_secs as i64),
        late: Duration::seconds(settings.late_secs as i64),
        credentials: Duration::days(i64::from(settings.credentials_days)),
        factor: settings.unusual_factor,
        floor: settings.unusual_floor,
    }
}

/// Credentials with an end: tokens of sign-ins by browser, and API tokens, which Zendesk ends for all on one day.
async fn credentials(ctx: &Context, db: &mut PgConnection, workspace: i64) -> Result<Vec<CredentialFacts>, FlowError> {
    let sources = db::source::all(db).await?;
    let ending = db::alert::ending(db, workspace).await?;
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.workspace_id == workspace && source.state.is_live()) {
        let fact = |ends_at, lost, todo| CredentialFacts {
            source_id: source.id,
            source: source.name.clone(),
            ends_at,
            lost,
            todo,
        };
        if let Some((_, ends_at, lost)) = ending.iter().find(|(id, ..)| *id == source.id) {
            found.push(fact(*ends_at, *lost, "Sign in again: deskbridge source reconnect."));
        } else if let (Ok(Credentials::ApiToken { .. }), Ok(day)) = (ctx.credentials(source), API_TOKENS_END.parse()) {
            let ends_at = chrono::NaiveDate::and_time(&day, NaiveTime::MIN).and_utc();
            found.push(fact(ends_at, false, "Zendesk ends API tokens then: deskbridge source migrate-to-oauth."));
        }
    }
    Ok(found)
}

fn body(alert: &Alert, news: News) -> Value {
    json!({
        "id": alert.id, "event": news.as_str(), "kind": alert.kind.as_str(), "about": alert.about, "words": alert.words,
        "opened_at": alert.opened_at, "recovered_at": alert.recovered_at,
    })
}

/// Before the commit: told twice rather than never.
fn log(alert: &Alert, news: News) {
    let (kind, about, words) = (alert.kind.as_str(), &alert.about, &alert.words);
    match news {
        News::Recovered => tracing::info!(alert = alert.id, kind, about, words, "alert: it is over"),
        News::Opened => tracing::warn!(alert = alert.id, kind, about, words, "alert"),
        News::StillOpen => tracing::warn!(alert = alert.id, kind, about, words, "alert: it is still so"),
    }
}

/// Sends what is due, channel by channel, until there is no more or the channel does not answer.
async fn tell(ctx: &Context, lease: &Lease, workspace: i64) -> Result<(), FlowError> {
    for channel in [Channel::Webhook, Channel::Email] {
        let mut after = 0;
        loop {
            ctx.may_go_on()?;
            let mut db = ctx.pool.acquire().await?;
            let due = db::alert::due(&mut db, workspace, channel, after, ctx.clock.now()).await?;
            drop(db);
            let Some(message) = due else { break };
            after = message.id;
            let sent = send(ctx, &message).await;
            let mut tx = ctx.pool.begin().await?;
            fence(ctx, &mut tx, lease).await?;
            let goes_on = note(ctx, &mut tx, workspace, &message, sent).await?;
            tx.commit().await?;
            if !goes_on {
                break;
            }
        }
    }
    Ok(())
}

/// Notes what became of a message. False when its channel does not answer.
async fn note(
    ctx: &Context,
    db: &mut PgConnection,
    workspace: i64,
    message: &Message,
    sent: Result<(), SendError>,
) -> Result<bool, FlowError> {
    let (now, channel) = (ctx.clock.now(), message.channel.as_str());
    let Err(error) = sent else {
        db::alert::sent(db, workspace, message.id, now).await?;
        return Ok(true);
    };
    let is_down = matches!(error, SendError::Down(_));
    let tried = if is_down { Tried::Channel(message.channel) } else { Tried::Message(message.id) };
    let next_at = now + alert::wait(message.tries.unsigned_abs() + 1);
    let most = ctx.settings.alerts.tries as i32;
    tracing::warn!(channel, message = message.id, error = %error, "an alert could not be sent; it is tried again");
    let times = (now, next_at);
    for given_up in db::alert::failed(db, workspace, tried, &error.to_string(), times, most).await? {
        tracing::error!(channel, message = given_up, tries = most, error = %error, "an alert was not sent and is given up; try the channel with: deskbridge alert test");
    }
    Ok(!is_down)
}

async fn send(ctx: &Context, message: &Message) -> Result<(), SendError> {
    let settings = &ctx.settings.alerts;
    if !channels(settings).contains(&message.channel) {
        return Err(SendError::Refused("it is not configured any more".to_owned()));
    }
    let timeout = std::time::Duration::from_secs(settings.timeout_secs);
    let mut body = message.body.clone();
    body["message"] = message.id.into();
    match message.channel {
        Channel::Webhook => {
            let webhook = Webhook::new(&settings.webhook_url, settings.webhook_secret.clone(), timeout)?;
            webhook.send(&body, ctx.clock.now()).await
        }
        Channel::Email => {
            let email = Email::new(&settings.smtp_url, &settings.email_from, &settings.email_to, timeout)?;
            email.send(&letter(message)).await
        }
    }
}

fn letter(message: &Message) -> Letter {
    let text = |key: &str| message.body[key].as_str().unwrap_or_default();
    let rows = ["event", "kind", "about", "words", "opened_at", "recovered_at"];
    let rows = rows.into_iter().filter(|key| !text(key).is_empty());
    let lines: Vec<String> = rows.map(|key| format!("{key}: {}", text(key))).collect();
    let todo = "What to do is in README.md, \"Alerts\"; deskbridge alert list shows what is open.";
    Letter {
        id: format!("deskbridge-alert-{}-{}", message.id, message.created_at.timestamp()),
        subject: format!("[Deskbridge] {}: {}, {}", text("event").replace('_', " "), text("kind"), text("about")),
        text: format!("{}\n\n{todo}\n", lines.join("\n")),
        at: message.created_at,
    }
}

/// Sends a message that tells of nothing to each configured channel, once. Answers with what became of them.
pub async fn test(ctx: &Context) -> Vec<(Channel, Result<(), SendError>)> {
    let now = ctx.clock.now();
    let words = "somebody tries whether alerts arrive; nothing is the matter".to_string();
    let alert = begun(0, AlertKind::Test, "deskbridge".to_string(), words, now);
    let mut sent = Vec::new();
    for channel in channels(&ctx.settings.alerts) {
        let body = body(&alert, News::Opened);
        let message = Message { id: 0, channel, body, tries: 0, created_at: now };
        sent.push((channel, send(ctx, &message).await));
    }
    sent
}
