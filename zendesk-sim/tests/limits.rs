//! Rate limits over HTTP: whose they are, how they are told, and when they end.
mod common;

use common::{Answer, World};
use reqwest::Method;
use serde_json::{Value, json};
use zendesk_sim::Settings;

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// A world with limits, on this plan, with these rates in its settings.
async fn world(plan: &str, rates: Value) -> World {
    let settings = Settings {
        limits: Some("on".into()),
        plan: Some(plan.into()),
        rates: Some(serde_json::from_value(rates).expect("rates")),
        ..Settings::default()
    };
    World::start(settings).await
}

#[tokio::test]
async fn each_plan_has_its_totals() {
    let plans = [
        ("essential", 10, 10, 100),
        ("team", 200, 10, 100),
        ("growth", 400, 10, 100),
        ("professional", 400, 10, 100),
        ("enterprise", 700, 10, 100),
        ("enterprise-plus", 2500, 10, 100),
        ("high-volume", 2500, 30, 300),
    ];
    for (plan, requests, exports, lists) in plans {
        let world = world(plan, json!({})).await;
        let export = world.get("/api/v2/incremental/users/cursor?start_time=0&per_page=1").await;
        let told = format!("total={exports}; remaining={}; resets=60", exports - 1);
        assert_eq!(header(&export, "zendesk-ratelimit-incremental-exports"), told, "{plan}");
        for name in ["x-rate-limit", "ratelimit-limit"] {
            assert_eq!(header(&export, name), requests.to_string(), "{plan} {name}");
        }
        let list = world.get("/api/v2/tickets?per_page=1").await;
        for name in ["x-rate-limit-remaining", "ratelimit-remaining"] {
            assert_eq!(header(&list, name), (requests - 2).to_string(), "{plan} {name}");
        }
        assert_eq!(header(&list, "ratelimit-reset"), "60", "{plan}");
        let told = format!("total={lists}; remaining={}; resets=60", lists - 1);
        assert_eq!(header(&list, "zendesk-ratelimit-tickets-index"), told, "{plan}");
        let hooks = world.get("/api/v2/webhooks").await;
        let told = (header(&hooks, "x-rate-limit"), header(&hooks, "x-rate-limit-remaining"));
        assert_eq!(told, ("100".into(), "99".into()), "{plan}: webhooks have their own");
        assert_eq!(header(&hooks, "ratelimit-limit"), "", "{plan}: and nothing of the ticketing APIs");
    }
}

#[tokio::test]
async fn each_endpoint_has_its_own_budget() {
    let world = world("high-volume", json!({})).await;
    let user = world.act(json!({"do": "create_user", "name": "Ana", "email": "ana@x.example"})).await["id"].clone();
    let ticket = world.act(json!({"do": "create_ticket", "requester_id": user, "subject": "Hi"})).await["id"].clone();
    let name = json!({"user": {"name": "Ana", "email": "ana@x.example"}});
    // How often one after the other is let through, and how long until it would be again.
    let cases = [
        (Method::GET, "/api/v2/incremental/tickets/sample?start_time=0".to_owned(), Value::Null, 10, 1_200),
        (Method::GET, "/api/v2/deleted_tickets".into(), Value::Null, 10, 60),
        (Method::GET, "/api/v2/search/export?query=a&filter[type]=user".into(), Value::Null, 100, 60),
        (Method::GET, "/api/v2/tickets?page=501".into(), Value::Null, 50, 60),
        // Far pages, also the refused one, drew from the budget of near ones.
        (Method::GET, "/api/v2/tickets".into(), Value::Null, 249, 60),
        (Method::GET, "/api/v2/tags?page=501".into(), Value::Null, 50, 60),
        (Method::GET, "/api/v2/users?page=10001".into(), Value::Null, 100, 60),
        (Method::GET, "/api/v2/groups/1/users?page=10001".into(), Value::Null, 0, 60),
        (Method::GET, "/api/v2/views/7/execute".into(), Value::Null, 5, 60),
        (Method::PUT, format!("/api/v2/tickets/{ticket}"), json!({"ticket": {"priority": "high"}}), 30, 600),
        (Method::PUT, "/api/v2/organizations/1".into(), json!({"organization": {}}), 5, 60),
        (Method::DELETE, "/api/v2/tickets/999999".into(), Value::Null, 400, 60),
        (Method::DELETE, "/api/v2/deleted_users/1".into(), Value::Null, 700, 600),
        (Method::PUT, format!("/api/v2/users/{user}"), name.clone(), 1, 1),
        (Method::POST, "/api/v2/users/create_or_update".into(), name, 0, 1),
    ];
    world.advance(1_200, 0).await;
    for (method, path, body, passes, resets) in cases {
        for n in 0..=passes {
            let body = (!body.is_null()).then(|| body.clone());
            let answer = world.send(method.clone(), &path, body, Some(&world.token)).await;
            let refused = answer.status == 429;
            assert_eq!(refused, n == passes, "{method} {path}, number {n}: {}", answer.status);
            if refused {
                assert_eq!(header(&answer, "retry-after"), resets.to_string(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn large_budgets_end_too() {
    // With totals of the settings in place of those that take long to use up.
    let totals = [
        ("ceiling", "/api/v2/users/me"),
        ("attachments", "/api/v2/attachments/1"),
        ("search-index", "/api/v2/search?query=a"),
        ("help_center", "/api/v2/help_center/articles"),
    ];
    for (name, path) in totals {
        let world = world("high-volume", json!({"totals": {name: 3}})).await;
        for n in 0..=3 {
            assert_eq!(world.get(path).await.status == 429, n == 3, "{name}, number {n}");
        }
        let others = if name == "ceiling" { 429 } else { 200 };
        assert_eq!(world.get("/api/v2/users/count").await.status, others, "{name}");
    }
}

#[tokio::test]
async fn one_user_may_be_updated_five_times_a_minute() {
    let world = world("team", json!({})).await;
    let user = world.act(json!({"do": "create_user", "name": "Ana", "email": "ana@x.example"})).await["id"].clone();
    let other = world.act(json!({"do": "create_user", "name": "Bo", "email": "bo@x.example"})).await["id"].clone();
    let change = json!({"user": {"name": "Ana", "email": "ana@x.example"}});
    for n in 0..5 {
        world.advance(1, 0).await;
        // Both ways to change a user draw from the same budget.
        let answer = match n % 2 {
            0 => world.put(&format!("/api/v2/users/{user}"), change.clone()).await,
            _ => world.post("/api/v2/users/create_or_update", change.clone()).await,
        };
        let told = header(&answer, "zendesk-ratelimit-create-update-user");
        assert!(told.starts_with(&format!("total=5; remaining={};", 4 - n)), "{n}: {} {told}", answer.status);
    }
    world.advance(1, 0).await;
    assert_eq!(world.put(&format!("/api/v2/users/{user}"), change.clone()).await.status, 429);
    let elsewhere = json!({"user": {"name": "Bo"}});
    assert_eq!(world.put(&format!("/api/v2/users/{other}"), elsewhere.clone()).await.status, 200);
    let same_second = world.put(&format!("/api/v2/users/{other}"), elsewhere).await;
    assert_eq!((same_second.status, header(&same_second, "retry-after")), (429, "1".into()));
}

#[tokio::test]
async fn old_and_new_spellings() {
    let check = async |spelling: &str, present: &[&str], absent: &[&str]| {
        let world = world("team", json!({"spelling": spelling})).await;
        let answer = world.get("/api/v2/tickets").await;
        for name in present {
            assert!(answer.headers.contains_key(*name), "{spelling} has {name}");
        }
        for name in absent {
            assert!(!answer.headers.contains_key(*name), "{spelling} has no {name}");
        }
    };
    let new = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "zendesk-ratelimit-tickets-index"];
    let old = ["rate-limit", "rate-limit-remaining", "rate-limit-reset", "zendesk-rate-limit-tickets-index"];
    check("new", &new, &old).await;
    check("old", &old, &new).await;
    check("both", &[new, old].concat(), &[]).await;
}

#[tokio::test]
async fn a_sliding_minute_has_no_edge() {
    for (window, status) in [("fixed", 200), ("sliding", 429)] {
        let world = world("team", json!({"window": window})).await;
        world.advance(59, 0).await;
        let path = "/api/v2/incremental/users/cursor?start_time=0&per_page=1";
        for _ in 0..10 {
            assert_eq!(world.get(path).await.status, 200);
        }
        world.advance(1, 0).await;
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{window}");
        let wait = if status == 429 { "59" } else { "" };
        assert_eq!(header(&answer, "retry-after"), wait, "{window}");
        world.advance(59, 0).await;
        assert_eq!(world.get(path).await.status, 200, "{window}");
    }
}

#[tokio::test]
async fn a_refusal_in_each_of_its_bodies() {
    let check = async |body: &str, kind: &str| {
        let rates = json!({"body": body, "no_retry_after": true, "totals": {"account": 3}});
        let world = world("team", rates).await;
        for _ in 0..3 {
            assert_eq!(world.get("/api/v2/users/me").await.status, 200);
        }
        let refused = world.get("/api/v2/users/me").await;
        assert_eq!((refused.status, header(&refused, "content-type").as_str()), (429, kind));
        assert_eq!(header(&refused, "retry-after"), "", "left out");
        assert_eq!(refused.body.is_string(), body == "text");
    };
    check("json", "application/json; charset=utf-8").await;
    check("text", "text/plain; charset=utf-8").await;
}

#[tokio::test]
async fn a_refusal_while_hundreds_are_left() {
    let world = world("enterprise", json!({})).await;
    world.post("/_sim/faults", json!({"http_429_share": 1.0})).await;
    let refused = world.get("/api/v2/users").await;
    assert_eq!((refused.status, header(&refused, "x-rate-limit-remaining")), (429, "699".into()));
    assert_eq!(header(&refused, "retry-after"), "1");
}

#[tokio::test]
async fn a_trial_updates_twenty_tickets_a_minute() {
    let world = world("enterprise", json!({"trial": true})).await;
    for n in (0..20).rev() {
        let answer = world.put(&format!("/api/v2/tickets/{}", n + 1), json!({"ticket": {}})).await;
        let told = format!("total=20; remaining={n}; resets=60");
        assert_eq!(header(&answer, "zendesk-ratelimit-tickets-update"), told);
    }
    assert_eq!(world.put("/api/v2/tickets/30", json!({"ticket": {}})).await.status, 429);
}

#[tokio::test]
async fn on_a_fast_clock_the_seconds_told_are_real() {
    let rates = serde_json::from_value(json!({"totals": {"account": 1}})).expect("rates");
    let settings = Settings {
        limits: Some("on".into()),
        clock: Some("scaled:20".into()),
        rates: Some(rates),
        ..Settings::default()
    };
    let world = World::start(settings).await;
    let mut refused = world.get("/api/v2/users/me").await;
    while refused.status != 429 {
        refused = world.get("/api/v2/users/me").await;
    }
    let wait: i64 = header(&refused, "retry-after").parse().expect("seconds");
    assert!((1..=3).contains(&wait), "60 simulated seconds are at most 3 real ones, not {wait}");
    let told: i64 = header(&refused, "ratelimit-reset").parse().expect("seconds");
    assert!((told - wait).abs() <= 1, "both headers count the same seconds: {told} and {wait}");
}
