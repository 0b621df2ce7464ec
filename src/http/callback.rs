//! Where Zendesk sends people back to after they signed in, and the page they see.

use crate::pipeline::context::Context;
use crate::pipeline::sign_in::{self, Answer};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Takes the answer, does what the sign-in was begun for, and tells the person what happened.
pub async fn receive(State(ctx): State<Context>, answer: Result<Query<Answer>, QueryRejection>) -> Response {
    let answer = answer.map(|Query(answer)| answer).unwrap_or_default();
    // In a task of its own: a browser that is closed must not leave it half done.
    let done = tokio::spawn(async move { sign_in::receive(&ctx, &answer).await }).await;
    match done {
        Ok(Ok(source)) => page(
            StatusCode::OK,
            "Connected",
            &format!("Deskbridge is connected to Zendesk, as source \"{source}\". You can close this page."),
        ),
        Ok(Err(error)) => page(
            StatusCode::BAD_REQUEST,
            "Not connected",
            &format!(
                "Deskbridge was not connected: {error}. Nothing was changed. To try again, run the command again."
            ),
        ),
        Err(_) => {
            page(StatusCode::INTERNAL_SERVER_ERROR, "Not connected", "Something broke; look at the daemon's log.")
        }
    }
}

fn page(status: StatusCode, title: &str, words: &str) -> Response {
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Deskbridge: {title}</title></head>\n\
         <body><h1>{title}</h1>\n<p>{}</p>\n</body></html>\n",
        escaped(words)
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        // The address of this page holds the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
