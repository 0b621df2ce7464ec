//! Metrics for Prometheus.

use super::health::{self, HealthState};
use crate::pipeline::context::Context;
use crate::pipeline::{gauges, grant, inspect};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;

/// What the admin listener works with.
#[derive(Clone)]
pub struct AdminState {
    /// Renders what was counted.
    pub metrics: PrometheusHandle,
    /// Reads what stands in the database.
    pub ctx: Context,
}

/// Each source with what is wrong with it, its streams and its webhook, and what to do about that. 503 when the database
/// does not answer.
pub async fn detail(State((state, _)): State<(AdminState, HealthState)>) -> Response {
    let ctx = state.ctx.clone();
    match tokio::spawn(async move { inspect::health(&ctx).await }).await {
        Ok(Ok(sources)) => axum::Json(sources).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

/// Everything counted, with the gauges read from the database at this moment.
pub async fn metrics(State((state, _)): State<(AdminState, HealthState)>) -> Response {
    let ctx = state.ctx.clone();
    if let Ok(Err(error)) = tokio::spawn(async move { gauges::refresh(&ctx).await }).await {
        tracing::warn!(error = %error, "gauges could not be read from the database");
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, headers, state.metrics.render()).into_response()
}

/// Ready, and which sources need somebody: a source in need does not make the daemon unfit to take webhooks.
pub async fn ready(State((state, health)): State<(AdminState, HealthState)>) -> (StatusCode, String) {
    let (status, mut words) = health::ready(State(health)).await;
    if status == StatusCode::OK {
        let ctx = state.ctx.clone();
        if let Ok(Ok(sources)) = tokio::spawn(async move { grant::in_need(&ctx).await }).await {
            words.extend(sources.iter().map(|name| format!("source {name} needs reconnect\n")));
        }
    }
    (status, words)
}
