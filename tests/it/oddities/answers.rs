//! Answers that are no answers.

use super::recordings;
use deskbridge::clock::Clock;
use deskbridge::model::source::Credentials;
use deskbridge::zendesk::client::{Client, ClientOptions};
use deskbridge::zendesk::decode::{self, PageError};
use deskbridge::zendesk::error::Kind;
use deskbridge::zendesk::limiter::Alone;
use deskbridge::zendesk::purse::Shares;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// What a server was asked: path and authorization of each request.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A server that answers everything alike.
async fn server(status: u16, headers: &'static [(&'static str, &'static str)], body: String) -> (String, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let answer = move |request: axum::extract::Request| {
        let authorization =
            request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        seen.lock().expect("not poisoned").push((request.uri().to_string(), authorization.to_owned()));
        let mut response = axum::response::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(axum::body::Body::from(body.clone())).expect("a response");
        async move { response }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    (url, asked)
}

fn client(base_url: &str) -> Client {
    let options = ClientOptions {
        write: false,
        source: "acme".into(),
        base_url: base_url.to_owned(),
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        max_response_bytes: 1 << 20,
        user_agent: "deskbridge".into(),
        shares: Shares { requests: 1_000, exports: 10, share: 1.0, urgent_share: 0.0 },
    };
    let credentials = Credentials::Bearer { token: "a-secret".into() };
    Client::new(options, credentials, Clock::manual(chrono::DateTime::UNIX_EPOCH), Arc::new(Alone::default()))
        .expect("a client")
}

/// A recorded answer's body by what it has to be.
fn recorded(is: impl Fn(&Value, &[u8]) -> bool) -> Vec<Vec<u8>> {
    let answers = recordings().into_iter().flat_map(|recordings| &recordings.answers);
    answers.filter(|(_, meta, body)| is(meta, body)).map(|(_, _, body)| body.clone()).collect()
}

#[tokio::test]
async fn a_429_counts_whatever_it_says_beside() {
    let headers: &[(&str, &str)] = &[("retry-after", "7"), ("x-rate-limit", "700"), ("x-rate-limit-remaining", "649")];
    let texts = [
        "Number of allowed API requests per minute exceeded",
        r#"{"error":"APIRateLimitExceeded","description":"x"}"#,
        "",
    ];
    for text in texts {
        let (url, asked) = server(429, headers, text.into()).await;
        let error = client(&url).get_if_affordable("/api/v2/users").await.expect_err("refused");
        assert_eq!(error.kind, Kind::RateLimited { retry_after: Duration::from_secs(7) }, "{text}");
        assert_eq!(asked.lock().expect("not poisoned").len(), 1, "it is not asked again at once");
    }
}

#[test]
fn an_error_is_a_text_or_an_object() {
    let made = [
        (&br#"{"error":"RecordNotFound","description":"Not found"}"#[..], "RecordNotFound"),
        (&br#"{"error":{"title":"Forbidden","message":"You do not have access"}}"#[..], "Forbidden"),
    ];
    for (body, code) in made {
        let error = decode::error_message(404, body);
        assert_eq!((error.code.as_str(), error.description.is_empty()), (code, false));
    }
    let is_error =
        |_: &Value, body: &[u8]| serde_json::from_slice::<Value>(body).is_ok_and(|body| !body["error"].is_null());
    let found = recorded(is_error);
    for body in &found {
        let error = decode::error_message(422, body);
        assert!(!error.code.is_empty(), "{}", String::from_utf8_lossy(body));
    }
    let objects =
        found.iter().filter(|body| serde_json::from_slice::<Value>(body).is_ok_and(|body| body["error"].is_object()));
    assert!(recordings().is_none() || objects.count() > 0);
}

#[tokio::test]
async fn a_404_may_be_blank() {
    let (url, _) = server(404, &[], " ".into()).await;
    let error = client(&url).get("/api/v2/users/1").await.expect_err("not there");
    assert_eq!(error.kind, Kind::NotFound);
    for body in recorded(|meta, body| meta["response"]["status"] == 404 && body.trim_ascii().is_empty())
        .iter()
        .chain([&b" ".to_vec()])
    {
        assert_eq!(decode::error_message(404, body).description, "an empty answer");
        assert_eq!(decode::page(body, "users").expect_err("no page"), PageError::Empty);
    }
}

#[test]
fn a_200_may_be_an_html_page() {
    let made = b"<!DOCTYPE html>\n<html><body>We are doing maintenance</body></html>".to_vec();
    let is_page =
        |meta: &Value, body: &[u8]| meta["response"]["status"] == 200 && body.trim_ascii_start().starts_with(b"<");
    for body in recorded(is_page).iter().chain([&made]) {
        assert_eq!(decode::page(body, "users").expect_err("no page"), PageError::Html);
        assert_eq!(decode::error_message(200, body).description, "an HTML page");
    }
}

#[tokio::test]
async fn credentials_follow_neither_links_nor_redirects() {
    let (elsewhere, asked) = server(200, &[], "{}".into()).await;
    let location: &'static str = Box::leak(format!("{elsewhere}/api/v2/users").into_boxed_str());
    let headers: &'static [(&'static str, &'static str)] = Box::leak(Box::new([("location", location)]));
    let (url, own) = server(302, headers, String::new()).await;
    let error = client(&url).get("/api/v2/users").await.expect_err("a redirect is no answer");
    assert_eq!(error.kind, Kind::Redirected(302));
    assert_eq!(own.lock().expect("not poisoned")[0].1, "Bearer a-secret");
    assert!(asked.lock().expect("not poisoned").is_empty(), "nothing was asked of the other host");
}
