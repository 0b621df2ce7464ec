//! What the daemon tells: log lines on stdout, metrics for Prometheus, and errors with all their causes.

use std::{
    error::Error,
    io::{self, IsTerminal},
};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, util::TryInitError};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Webhooks received, by `source` and `outcome`.
pub const WEBHOOKS_RECEIVED: &str = "deskbridge_webhooks_received_total";
/// Webhook events applied, by `source`.
pub const EVENTS_APPLIED: &str = "deskbridge_events_applied_total";
/// Webhook events of a type that is kept and not applied.
pub const EVENTS_UNKNOWN: &str = "deskbridge_events_unknown_total";
/// Age of the oldest event that waits to be applied, by `source`.
pub const OLDEST_UNAPPLIED_EVENT_AGE: &str = "deskbridge_oldest_unapplied_event_age_seconds";
/// Time since a stream was last read to its end, by `source` and `stream`.
pub const STREAM_FRESHNESS: &str = "deskbridge_stream_freshness_seconds";
/// Requests to Zendesk, by `source`, `endpoint` and `outcome`.
pub const ZENDESK_REQUESTS: &str = "deskbridge_zendesk_requests_total";
/// Requests that a budget still allows this minute, by `source` and `budget`.
pub const ZENDESK_BUDGET_LEFT: &str = "deskbridge_zendesk_budget_left";
/// Requests that Zendesk refused with 429, by whose doing.
pub const ZENDESK_THROTTLED: &str = "deskbridge_zendesk_throttled_total";
/// Deliveries of our webhook as Zendesk's log tells them, by `source` and `outcome`.
pub const WEBHOOK_DELIVERIES: &str = "deskbridge_webhook_deliveries_total";
/// Repairs of our webhook in Zendesk, by `source`.
pub const WEBHOOK_REPAIRS: &str = "deskbridge_webhook_repairs_total";
/// 1 while our webhook in Zendesk is as it should be, by `source`.
pub const WEBHOOK_OK: &str = "deskbridge_webhook_ok";
/// Open dead letters, by `source`.
pub const DEAD_LETTERS: &str = "deskbridge_dead_letters";
/// Jobs, by `state`.
pub const JOBS: &str = "deskbridge_jobs";
/// Renewals of OAuth tokens, by `source` and `outcome`.
pub const OAUTH_REFRESHES: &str = "deskbridge_oauth_refreshes_total";
/// Time until the refresh token of a source ends, by `source`.
pub const OAUTH_ENDS: &str = "deskbridge_oauth_refresh_token_ends_seconds";
/// 1 for a source that needs to be connected again, else 0, by `source`.
pub const NEEDS_RECONNECT: &str = "deskbridge_source_needs_reconnect";
/// Memberships that changed, by `audience` and `change`: entered or exited.
pub const AUDIENCE_CHANGES: &str = "deskbridge_audience_changes_total";
/// Memberships that the last nightly pass had to repair, by `audience`; must be 0.
pub const AUDIENCE_DRIFT: &str = "deskbridge_audience_drift";
/// Records of activations' runs that got their result, by `result`.
pub const PUSH_RECORDS: &str = "deskbridge_push_records_total";
/// How long the oldest change that was not sent yet has waited, by `source`.
pub const OLDEST_UNSENT_CHANGE_AGE: &str = "deskbridge_oldest_unsent_change_age_seconds";
/// Calls under way, whose records have no result yet, by `source`.
pub const PUSH_JOBS_OPEN: &str = "deskbridge_push_jobs_open";
/// How long runs took, by `kind` and `stream`.
pub const RUN_DURATION: &str = "deskbridge_run_duration_seconds";

/// From a run with nothing to do to a first pass over a large account.
const RUN_SECONDS: [f64; 14] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// Why logging or metrics could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter is {0:?}; it must be a level such as info, or info,deskbridge::zendesk=debug")]
    Filter(String, #[source] ParseError),
    /// Something else in this process took the log first.
    #[error("logging was started twice in this process; start it only in main")]
    Log(#[source] TryInitError),
    /// Something else in this process took the metrics first, or the buckets are empty.
    #[error("metrics could not be started; start them only once, in main")]
    Metrics(#[source] BuildError),
}

/// Begins logging to stdout.
///
/// # Errors
/// When `filter` cannot be read, or logging has begun already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::try_new(filter);
    let parsed = parsed.map_err(|error| TelemetryError::Filter(filter.to_owned(), error))?;
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !io::stdout().is_terminal(),
    };
    let lines = fmt::layer().with_writer(io::stdout);
    let registry = tracing_subscriber::registry().with(parsed);
    let begun = if json {
        let lines = lines.json().flatten_event(true).with_current_span(false);
        registry.with(lines.with_span_list(true)).try_init()
    } else {
        let colours = io::stdout().is_terminal();
        registry.with(lines.with_ansi(colours)).try_init()
    };
    begun.map_err(TelemetryError::Log)
}

/// Begins logging to stderr, in words: beside the answer of a command.
///
/// # Errors
/// When `filter` cannot be read, or logging has begun already.
pub fn init_beside(filter: &str) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Filter(filter.to_owned(), error))?;
    let lines =
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false).without_time();
    tracing_subscriber::registry().with(parsed).with(lines).try_init().map_err(TelemetryError::Log)
}

/// Begins logging to a file, one JSON object a line: while a terminal tells something else.
///
/// # Errors
/// When `filter` cannot be read, or logging has begun already.
pub fn init_to_file(file: std::fs::File, filter: &str) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Filter(filter.to_owned(), error))?;
    let lines = fmt::layer().with_writer(std::sync::Mutex::new(file)).with_ansi(false);
    let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
    tracing_subscriber::registry().with(parsed).with(lines).try_init().map_err(TelemetryError::Log)
}

/// An error and all its causes on one line, outermost first. Causes that an error already tells are not repeated.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Begins to collect metrics. `render` of the handle is what Prometheus reads; the caller calls its `run_upkeep` every
/// few seconds, or histograms grow.
///
/// # Errors
/// When metrics have begun already.
pub fn install_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(RUN_DURATION.to_owned()), &RUN_SECONDS);
    let handle = builder.and_then(PrometheusBuilder::install_recorder);
    let handle = handle.map_err(TelemetryError::Metrics)?;
    describe_metrics();
    Ok(handle)
}

/// Tells the recorder what each metric means.
pub fn describe_metrics() {
    describe_counter!(WEBHOOKS_RECEIVED, "Webhooks received, by source and outcome");
    describe_counter!(EVENTS_UNKNOWN, "Webhook events of a type that is kept and not applied, by source");
    describe_counter!(EVENTS_APPLIED, "Webhook events applied, by source");
    describe_gauge!(
        OLDEST_UNAPPLIED_EVENT_AGE,
        Unit::Seconds,
        "Age of the oldest event that waits to be applied, by source"
    );
    describe_gauge!(
        STREAM_FRESHNESS,
        Unit::Seconds,
        "Time since a stream was last read to its end, by source and stream"
    );
    describe_counter!(OAUTH_REFRESHES, "Renewals of OAuth tokens, by source and outcome (ok, failed, lost)");
    describe_gauge!(OAUTH_ENDS, Unit::Seconds, "Time until the refresh token of a source ends, by source");
    describe_gauge!(NEEDS_RECONNECT, "1 for a source that needs to be connected again, else 0, by source");
    describe_counter!(ZENDESK_REQUESTS, "Requests to Zendesk, by source, endpoint and outcome");
    describe_gauge!(ZENDESK_BUDGET_LEFT, "Requests that a budget still allows, by source and budget");
    describe_counter!(
        ZENDESK_THROTTLED,
        "Requests refused with 429, by source and cause: own when our own count had forbidden it, others when others used the limit"
    );
    describe_counter!(WEBHOOK_DELIVERIES, "Deliveries by Zendesk's log, by source and outcome");
    describe_counter!(WEBHOOK_REPAIRS, "Repairs of our webhook in Zendesk, by source");
    describe_gauge!(WEBHOOK_OK, "1 while our webhook in Zendesk is as it should be, by source");
    describe_gauge!(DEAD_LETTERS, "Open dead letters, by source");
    describe_gauge!(JOBS, "Jobs, by state");
    describe_counter!(PUSH_RECORDS, "Records of activations' runs that got their result, by result");
    describe_gauge!(
        OLDEST_UNSENT_CHANGE_AGE,
        Unit::Seconds,
        "How long the oldest change that was not sent yet has waited, by source"
    );
    describe_gauge!(PUSH_JOBS_OPEN, "Calls under way, whose records have no result yet, by source");
    describe_histogram!(RUN_DURATION, Unit::Seconds, "How long runs took, by kind and stream");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read stream users of source 7")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection lost: {0}")]
    struct Inner(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_causes_once() {
        let error = Outer(Inner(io::Error::other("reset by peer")));
        assert_eq!(error_chain(&error), "cannot read stream users of source 7: connection lost: reset by peer");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let error = init(LogFormat::Json, "deskbridge=loud").unwrap_err();
        assert!(error.to_string().contains("deskbridge=loud"), "{error}");
    }

    #[test]
    fn metrics_carry_their_meaning_and_buckets() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(RUN_DURATION.to_owned()), &RUN_SECONDS)
            .unwrap()
            .build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_metrics();
            metrics::counter!(WEBHOOKS_RECEIVED, "source" => "acme", "outcome" => "stored").increment(2);
            metrics::histogram!(RUN_DURATION, "kind" => "poll", "stream" => "users").record(0.2);
        });
        let text = handle.render();
        for line in [
            "# HELP deskbridge_webhooks_received_total Webhooks received, by source and outcome",
            "deskbridge_webhooks_received_total{source=\"acme\",outcome=\"stored\"} 2",
            "deskbridge_run_duration_seconds_bucket{kind=\"poll\",stream=\"users\",le=\"0.25\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
