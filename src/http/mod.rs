//! Two listeners: public (webhooks, health) and admin (metrics, health; later the API and pages).

pub mod admin;
pub mod health;
pub mod recipients;
pub mod serve;
pub mod webhook;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

/// What Zendesk reaches.
pub fn public(state: webhook::WebhookState, health: health::HealthState) -> Router {
    let max_body = state.max_body_bytes;
    let webhooks = Router::new()
        .route("/webhooks/zendesk/{source}", post(webhook::receive))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(state);
    Router::new().merge(webhooks).merge(health_routes(health)).layer(CatchPanicLayer::new())
}

/// What operators reach.
pub fn admin(state: admin::AdminState, health: health::HealthState) -> Router {
    let metrics = Router::new().route("/metrics", get(admin::metrics)).with_state(state);
    Router::new().merge(metrics).merge(health_routes(health)).layer(CatchPanicLayer::new())
}

fn health_routes(state: health::HealthState) -> Router {
    Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready)).with_state(state)
}
