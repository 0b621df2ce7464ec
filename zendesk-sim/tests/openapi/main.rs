//! The simulated account is asked for everything it serves, and each answer is judged by Zendesk's own OpenAPI.
#[path = "../common/mod.rs"]
mod common;
mod routes;
mod script;

use common::World;
use openapi_check::zendesk::{self, CORRECTIONS, Exchange};
use openapi_check::{Judge, Verdict};
use script::Run;
use std::collections::BTreeSet;
use zendesk_sim::Settings;

/// What is asked of an account with classic ratings, and of one with surveys.
const REQUESTS: [(&str, &str); 2] =
    [("classic", include_str!("requests.txt")), ("survey", include_str!("requests_survey.txt"))];

/// Runs all requests and answers what was asked and answered.
async fn driven() -> Vec<Exchange> {
    let (mut seen, mut faults) = (Vec::new(), Vec::new());
    for (satisfaction, requests) in REQUESTS {
        let satisfaction = Some(satisfaction.to_owned());
        let settings = Settings { users: Some(120), tickets: Some(200), satisfaction, ..Settings::default() };
        let world = World::start(settings).await;
        let mut run = Run::new(&world).await;
        for line in script::parse(requests) {
            if let Err(fault) = run.send(&line).await {
                faults.push(fault);
            }
        }
        seen.extend(world.seen());
    }
    assert!(faults.is_empty(), "{faults:#?}");
    seen
}

/// The judge, or why there is none.
fn judge() -> Option<&'static Judge> {
    let judge = zendesk::judge();
    if judge.is_none() {
        println!("skipped: {}", zendesk::published().err().unwrap_or_default());
    }
    judge
}

#[tokio::test]
async fn every_answer_is_what_zendesk_publishes() {
    let Some(judge) = judge() else { return };
    // Each world judges its answers when it ends.
    let seen = driven().await;
    routes::hold_that_all_are_driven(judge, &seen).await;
    hold_that_corrections_are_needed(&seen);
}

/// Without any one of the corrections, an answer is found wrong.
fn hold_that_corrections_are_needed(seen: &[Exchange]) {
    let published = zendesk::published().expect("it was there a moment ago");
    let strict = Judge::new(published.clone()).expect("schemas");
    let verdict =
        |judge: &Judge, e: &Exchange| judge.response(&e.method, zendesk::plain(&e.path), e.status, &e.kind, &e.body);
    // One answer for each operation and each set of rules that it breaks is enough.
    let mut known = BTreeSet::new();
    let mut suspects = Vec::new();
    for exchange in seen {
        if let Verdict::Judged(route, found) = verdict(&strict, exchange) {
            let rules: BTreeSet<_> = found.into_iter().map(|finding| finding.rule).collect();
            if !rules.is_empty() && known.insert((route.clone(), rules.clone())) {
                suspects.push((route, rules, exchange));
            }
        }
    }
    let mut needless = Vec::new();
    for (index, correction) in CORRECTIONS.iter().enumerate() {
        let document = zendesk::corrected(published.clone(), |other| other != index);
        let place = correction.place();
        let target = published.pointer(&format!("{place}/$ref")).and_then(|target| target.as_str()?.strip_prefix('#'));
        let near = |rule: &String| {
            rule.starts_with(&place) || place.starts_with(rule.as_str()) || target.is_some_and(|t| rule.starts_with(t))
        };
        let needed = suspects.iter().filter(|(_, rules, _)| rules.iter().any(near)).any(|(route, _, exchange)| {
            let judge = Judge::only_route(document.clone(), route).expect("schemas");
            matches!(verdict(&judge, exchange), Verdict::Judged(_, found) if !found.is_empty())
        });
        // Some are needed only beside others.
        let needed = needed || {
            let judge = Judge::new(document).expect("schemas");
            seen.iter()
                .any(|e| matches!(verdict(&judge, e), Verdict::Judged(_, found) if found.iter().any(|f| near(&f.rule))))
        };
        if !needed {
            needless.push(correction.at());
        }
    }
    assert!(needless.is_empty(), "these corrections of Zendesk's OpenAPI are not needed: {needless:#?}");
}
