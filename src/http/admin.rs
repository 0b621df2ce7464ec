//! Metrics for Prometheus.

use crate::pipeline::context::Context;
use crate::pipeline::{gauges, inspect};
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
pub async fn detail(State(state): State<AdminState>) -> Response {
    let ctx = state.ctx.clone();
    match tokio::spawn(async move { inspect::health(&ctx).await }).await {
        Ok(Ok(sources)) => axum::Json(sources).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

/// Everything counted, with the gauges read from the database at this moment.
pub async fn metrics(State(state): State<AdminState>) -> Response {
    let ctx = state.ctx.clone();
    if let Ok(Err(error)) = tokio::spawn(async move { gauges::refresh(&ctx).await }).await {
        tracing::warn!(error = %error, "gauges could not be read from the database");
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, headers, state.metrics.render()).into_response()
}
