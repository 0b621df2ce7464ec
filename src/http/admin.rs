//! Metrics for Prometheus.

use crate::pipeline::context::Context;
use crate::pipeline::gauges;
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

/// Everything counted, with the gauges read from the database at this moment.
pub async fn metrics(State(state): State<AdminState>) -> Response {
    let ctx = state.ctx.clone();
    if let Ok(Err(error)) = tokio::spawn(async move { gauges::refresh(&ctx).await }).await {
        tracing::warn!(error = %error, "gauges could not be read from the database");
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, headers, state.metrics.render()).into_response()
}
