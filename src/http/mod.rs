//! Two listeners: public (webhooks, health) and admin (metrics, health; later the API and pages).

pub mod admin;
pub mod callback;
pub mod health;
pub mod recipients;
pub mod serve;
pub mod webhook;

use crate::pipeline::context::Context;
use crate::pipeline::sign_in::PATH;
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
    let sign_in = callback(state.ctx.clone());
    let admin = Router::new()
        .route("/metrics", get(admin::metrics))
        .route("/health/detail", get(admin::detail))
        .route("/health/ready", get(admin::ready))
        .route("/health/live", get(health::live))
        .with_state((state, health));
    Router::new().merge(admin).merge(sign_in).layer(CatchPanicLayer::new())
}

/// Where people come back to after they signed in to Zendesk: part of the admin listener, and all that a command listens
/// with while no daemon runs.
pub fn callback(ctx: Context) -> Router {
    Router::new().route(PATH, get(callback::receive)).with_state(ctx)
}

fn health_routes(state: health::HealthState) -> Router {
    Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready)).with_state(state)
}
