//! `check`: looks at everything that has to be right, and says what to do about what is not.

use super::error;
use super::health;
use super::output::{Format, Table, distance, plain, say, say_json, time};
use super::session::{self, Globals, told};
use crate::app;
use crate::clock::Clock;
use crate::db::{self, pool};
use crate::model::source::{API_TOKENS_END, SELL_RETIRES, Source, SourceState};
use crate::pipeline::context::Context;
use crate::pipeline::grant::{self, Standing};
use crate::pipeline::webhook::BY_HAND;
use crate::pipeline::{self, inspect, lifecycle};
use crate::zendesk::deliveries::Health;
use crate::zendesk::webhooks::Fault;
use serde_json::{Value, json};

/// `deskbridge check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Look at this source only.
    source: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Works, and should be seen to.
    Warning,
    Failed,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        }
    }
}

/// What was looked at, in order.
#[derive(Default)]
struct Findings(Vec<Finding>);

struct Finding {
    verdict: Verdict,
    subject: String,
    detail: String,
    todo: String,
}

impl Findings {
    fn add(
        &mut self,
        verdict: Verdict,
        subject: impl Into<String>,
        detail: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.0.push(Finding { verdict, subject: subject.into(), detail: detail.into(), todo: todo.into() });
    }

    fn ok(&mut self, subject: impl Into<String>, detail: impl Into<String>) {
        self.add(Verdict::Ok, subject, detail, "");
    }

    /// An error as a failed finding, with its remedy.
    fn error(&mut self, subject: impl Into<String>, error: impl Into<anyhow::Error>) {
        let (what, todo) = error::parts(&error.into());
        self.add(Verdict::Failed, subject, what, todo.unwrap_or_default());
    }

    fn print(&self, format: Format) -> anyhow::Result<()> {
        let failed = self.0.iter().any(|finding| finding.verdict == Verdict::Failed);
        if format.json {
            let line = |finding: &Finding| json!({"verdict": finding.verdict.as_str(), "subject": finding.subject, "detail": finding.detail, "what_to_do": finding.todo});
            say_json(&Value::Array(self.0.iter().map(line).collect()));
            return told(!failed);
        }
        let mut table = Table::new(&[]);
        for finding in &self.0 {
            let mut lines = finding.detail.lines();
            table.row([finding.verdict.as_str(), &finding.subject, lines.next().unwrap_or_default()]);
            for line in lines {
                table.row(["", "", line]);
            }
        }
        table.print();
        let mut todo = self.0.iter().filter(|finding| !finding.todo.is_empty()).peekable();
        if todo.peek().is_some() {
            say("\nwhat to do");
        }
        for finding in todo {
            say(format_args!("  {}: {}", finding.subject, plain(&finding.todo)));
        }
        told(!failed)
    }
}

/// Checks everything.
pub async fn run(globals: &Globals, args: &Check) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let settings = match session::settings(globals.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            findings.error("configuration", error);
            return findings.print(args.format);
        }
    };
    match &settings.public.base_url {
        Some(url) => findings.ok("configuration", format!("webhooks come to {url}")),
        None => findings.add(
            Verdict::Warning,
            "configuration",
            "public.base_url is not set: webhooks have to be set up by hand",
            "set DESKBRIDGE__PUBLIC__BASE_URL to the https address under which Zendesk reaches this daemon",
        ),
    }
    let listen = settings.public.listen;
    let ctx = match app::context(settings, Clock::system()) {
        Ok(ctx) => ctx,
        Err(error) => {
            findings.error("configuration", error);
            return findings.print(args.format);
        }
    };
    if database(&ctx, &mut findings).await {
        daemon(listen, &mut findings).await;
        sources(&ctx, args.source.as_deref(), &mut findings).await?;
    }
    findings.print(args.format)
}

/// Whether the database is there, can be trusted, and is up to date.
async fn database(ctx: &Context, findings: &mut Findings) -> bool {
    if let Err(error) = pool::probe(&ctx.pool).await {
        findings.error("database", error);
        return false;
    }
    match pool::check(&ctx.pool, false).await {
        Ok(()) => findings.ok("database", "answers, is durable and can be written to"),
        Err(error @ pool::Unfit::NotDurable(_)) => findings.error("database", error),
        Err(error) => {
            findings.error("database", error);
            return false;
        }
    }
    match pool::missing_migrations(&ctx.pool).await {
        Ok(0) => {
            findings.ok("tables", format!("are those of deskbridge {}", env!("CARGO_PKG_VERSION")));
            return true;
        }
        Ok(missing) => findings.error("tables", pool::Unfit::Behind(missing)),
        Err(error) => findings.error("tables", error),
    }
    false
}

async fn daemon(listen: std::net::SocketAddr, findings: &mut Findings) {
    let address = health::here(listen);
    match tokio::time::timeout(std::time::Duration::from_secs(3), health::ready(address)).await {
        Ok(Ok((200, _))) => findings.ok("daemon", format!("is ready on {address}")),
        Ok(Ok((_, words))) => {
            findings.add(Verdict::Warning, "daemon", format!("on {address} is not ready: {words}"), "look at its log")
        }
        _ => findings.add(
            Verdict::Warning,
            "daemon",
            format!("none answers on {address}"),
            "start one with deskbridge serve, unless it runs elsewhere",
        ),
    }
}

async fn sources(ctx: &Context, only: Option<&str>, findings: &mut Findings) -> anyhow::Result<()> {
    let all = match only {
        Some(name) => vec![lifecycle::find(ctx, db::workspace::DEFAULT, name).await?],
        None => db::source::all(&mut *ctx.pool.acquire().await?).await?,
    };
    let all: Vec<Source> = all
        .into_iter()
        .filter(|source| (source.is_support() || source.is_sell()) && source.state != SourceState::Deleted)
        .collect();
    if all.is_empty() {
        findings.add(Verdict::Warning, "sources", "none is connected", "deskbridge source connect ACCOUNT");
    }
    for source in &all {
        if !source.state.is_live() {
            let detail = format!("is {}", source.state.as_str());
            match source.state {
                SourceState::Connecting => findings.add(
                    Verdict::Failed,
                    subject(source, ""),
                    "was never connected",
                    "connect it again with deskbridge source connect",
                ),
                _ => findings.ok(subject(source, ""), detail),
            }
            continue;
        }
        if source.paused_at.is_some() {
            findings.add(
                Verdict::Warning,
                subject(source, ""),
                "is paused",
                format!("deskbridge source resume {}", source.name),
            );
        }
        if source.is_sell() {
            sell(ctx, source, findings).await;
            continue;
        }
        if tokens(ctx, source, findings).await? {
            credentials(ctx, source, findings).await;
            webhook(ctx, source, findings).await;
        }
        streams(ctx, source, findings).await?;
    }
    Ok(())
}

fn subject(source: &Source, part: &str) -> String {
    format!("{} {part}", source.name).trim_end().to_string()
}

/// How the tokens of a sign-in by browser stand. False when they are gone.
async fn tokens(ctx: &Context, source: &Source, findings: &mut Findings) -> anyhow::Result<bool> {
    let (subject, now) = (subject(source, "tokens"), ctx.clock.now());
    let Some(found) = grant::of(ctx, source).await? else { return Ok(true) };
    let again = format!("deskbridge source reconnect {} --again", source.name);
    match grant::standing(&found, grant::warning_time(ctx), now) {
        Standing::Good => {
            let words = format!(
                "are renewed {}; a sign-in lasts till {}",
                distance(found.renew_at, now),
                time(found.refresh_expires_at)
            );
            findings.ok(subject, words);
        }
        Standing::Failing(error) => findings.add(
            Verdict::Warning,
            subject,
            format!("could not be renewed: {error}"),
            "it is tried again; see the log",
        ),
        Standing::EndsSoon(end, error) => findings.add(
            Verdict::Warning,
            subject,
            format!("end {} and cannot be renewed: {error}", distance(end, now)),
            again,
        ),
        Standing::NeedsReconnect(error) => {
            findings.add(Verdict::Failed, subject, format!("needs reconnect: {error}"), again);
            return Ok(false);
        }
    }
    Ok(true)
}

/// Zendesk Sell: whether its token is accepted, and how long there will be a Sell.
async fn sell(ctx: &Context, source: &Source, findings: &mut Findings) {
    match pipeline::sell::inspect(ctx, source).await {
        Ok(()) => findings.ok(subject(source, "credentials"), "Zendesk Sell accepts the token and shows contacts"),
        Err(error) => findings.error(subject(source, "credentials"), error),
    }
    findings.add(Verdict::Warning, subject(source, ""), "is a Zendesk Sell account", SELL_RETIRES);
}

async fn credentials(ctx: &Context, source: &Source, findings: &mut Findings) {
    let subject = subject(source, "credentials");
    let found = match inspect::credentials(ctx, source).await {
        Ok(found) => found,
        Err(error) => return findings.error(subject, error),
    };
    let scopes =
        found.identity.scopes.as_ref().map_or_else(String::new, |scopes| format!(", scopes {}", scopes.join(" ")));
    findings.ok(&subject, format!("Zendesk user {} ({}){scopes}", found.identity.user_id, found.identity.role));
    for warning in found.warnings {
        findings.add(
            Verdict::Failed,
            &subject,
            warning,
            format!("make a token with the scopes read, webhooks:read and webhooks:write, then deskbridge source reconnect {}", source.name),
        );
    }
    if found.api_token {
        findings.add(
            Verdict::Warning,
            &subject,
            format!("an API token, which Zendesk ends on {API_TOKENS_END}"),
            format!("make an OAuth client in Zendesk, then deskbridge source migrate-to-oauth {} --client-id ID --client-secret-file FILE", source.name),
        );
    }
}

async fn webhook(ctx: &Context, source: &Source, findings: &mut Findings) {
    let subject = subject(source, "webhook");
    let reconnect = format!("deskbridge source reconnect {}", source.name);
    if source.webhook_secret.is_none() {
        let todo = match source.webhook_id.as_deref() {
            Some("manual") | None => {
                format!("{reconnect} (or, set up by hand: add --manual-webhook --webhook-secret-file FILE)")
            }
            Some(_) => reconnect,
        };
        return findings.add(Verdict::Failed, subject, "no signing secret is stored: webhooks are refused", todo);
    }
    let by_hand = source.webhook_id.as_deref() == Some(BY_HAND);
    let found = match inspect::webhook(ctx, source).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return findings
                .ok(subject, "its signing secret is stored; it cannot be looked at, since public.base_url is not set");
        }
        Err(error) if by_hand => {
            let detail = format!("set up by hand; its signing secret is stored; it cannot be looked at: {error}");
            return findings.ok(subject, detail);
        }
        Err(error) => return findings.error(subject, error),
    };
    let words = |fault: &Fault| match fault {
        Fault::Stranger(_, name) => format!("{} (its name is {:?})", fault.words(), plain(name)),
        _ => fault.words(),
    };
    let mut wrong: Vec<String> = found.faults.iter().map(words).collect();
    if !found.secret_is_stored {
        wrong.push("its signing secret is not the stored one: what it sends is refused".into());
    }
    if wrong.is_empty() {
        let how = if by_hand { "set up by hand; is there" } else { "is there" };
        findings.ok(&subject, format!("{how}, active, and sends every type of event that is applied"));
    } else {
        let verdict = if found.faults.iter().all(|fault| !fault.is_ours()) && found.secret_is_stored {
            Verdict::Warning
        } else {
            Verdict::Failed
        };
        findings.add(verdict, &subject, wrong.join(", "), mend(source, &found, by_hand));
    }
    deliveries(source, found.health, findings);
}

/// What to do about a webhook that is not as it should be.
fn mend(source: &Source, found: &inspect::Webhook, by_hand: bool) -> String {
    if found.faults.iter().any(|fault| !fault.is_ours()) && found.faults.len() == 1 {
        return "delete that webhook in Zendesk (Admin Center > Webhooks), or give it another address".into();
    }
    match (by_hand, source.settings.repair_webhook) {
        (true, _) => format!(
            "put it right in Zendesk; a new signing secret: deskbridge source reconnect {} --manual-webhook --webhook-secret-file FILE",
            source.name
        ),
        (false, true) => format!("a running daemon repairs it; at once: deskbridge source reconnect {}", source.name),
        (false, false) => format!("deskbridge source reconnect {}", source.name),
    }
}

/// What became of the deliveries of the last day.
fn deliveries(source: &Source, health: Option<Health>, findings: &mut Findings) {
    let subject = subject(source, "deliveries");
    let Some(health) = health else { return };
    let detail = format!(
        "of the last 24 hours: {} arrived, {} failed, {} held back by Zendesk (circuit broken or throttled)",
        health.arrived, health.failed, health.held
    );
    match health.lost() {
        0 => findings.ok(subject, detail),
        _ => findings.add(
            Verdict::Warning,
            subject,
            detail,
            "nothing for the data: the exports bring it. If it goes on, look at the daemon's log for webhooks answered 401 or 503, and at what stands between it and Zendesk",
        ),
    }
}

async fn streams(ctx: &Context, source: &Source, findings: &mut Findings) -> anyhow::Result<()> {
    let now = ctx.clock.now();
    let mut db = ctx.pool.acquire().await?;
    let all = db::checkpoint::of_source(&mut db, source.id).await?;
    let waiting = db::raw_event::oldest_pending(&mut db, source.workspace_id).await?;
    let letters = db::dead_letter::open_counts(&mut db, source.workspace_id).await?;
    drop(db);
    for stream in all.iter().filter(|stream| stream.error.is_some()) {
        let todo = super::output::named(stream.remedy.as_deref().unwrap_or("see the log"), &source.name);
        findings.add(
            Verdict::Failed,
            subject(source, stream.stream.as_str()),
            stream.error.clone().unwrap_or_default(),
            todo,
        );
    }
    let good = all.iter().filter(|stream| stream.error.is_none() && stream.due_at.is_some()).count();
    findings.ok(subject(source, "streams"), format!("{good} are read without error"));
    if let Some((_, since)) = waiting.iter().find(|(id, since)| *id == source.id && (now - *since).num_seconds() > 60) {
        let detail = format!("the oldest was received {} and is not yet applied", distance(*since, now));
        findings.add(Verdict::Warning, subject(source, "webhooks"), detail, "see whether a daemon runs, and its log");
    }
    if let Some((_, open)) = letters.iter().find(|(id, _)| *id == source.id) {
        let todo = format!("deskbridge dead-letter list --source {}", source.name);
        findings.add(
            Verdict::Warning,
            subject(source, "dead letters"),
            format!("{open} wait to be retried or dismissed"),
            todo,
        );
    }
    Ok(())
}
