//! Which alerts should be open, what follows for those that are, and when a message is tried again.

use crate::model::activation::Guards;
use crate::model::alert::{ActivationFacts, Alert, AlertKind, CredentialFacts, Matter, News, RunFacts};
use crate::model::push::{RunKind, RunState};
use crate::rules::activation::guard;
use chrono::{DateTime, Duration, Utc};

/// Runs that must have been before one is called unusual.
const USUAL_RUNS: usize = 3;

/// Most characters of what is told.
const MOST_WORDS: usize = 600;

/// How often an alert is told of again while it is open.
const AGAIN: Duration = Duration::hours(24);

/// Wait after the first failed try of a message; doubled after each further one, up to the second.
const WAIT: (i64, i64) = (30, 3600);

/// From when on something is the matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How long an activation fails before it is told.
    pub failing: Duration,
    /// How long something may be due.
    pub late: Duration,
    /// How long before their end credentials are told of.
    pub credentials: Duration,
    /// How many times more, or fewer, than usual is unusual.
    pub factor: f64,
    /// Changes by which a run must differ from the usual at least.
    pub floor: u64,
}

/// What is the matter with these activations now. `runs`: of each activation and kind the latest, newest first.
pub fn of_activations(
    activations: &[ActivationFacts],
    runs: &[RunFacts],
    limits: &Limits,
    now: DateTime<Utc>,
) -> Vec<Matter> {
    let mut found = Vec::new();
    for activation in activations {
        let mut own: Vec<&RunFacts> = runs.iter().filter(|run| run.activation_id == activation.id).collect();
        own.sort_by_key(|run| std::cmp::Reverse(run.id));
        let asks = waits(&own);
        let fails = if asks.is_some() { None } else { fails(activation, &own, limits, now) };
        let late = if asks.is_some() || fails.is_some() { None } else { late(activation, limits, now) };
        let all = [
            (AlertKind::Failed, fails),
            (AlertKind::Waiting, asks),
            (AlertKind::Late, late),
            (AlertKind::Skipped, left_out(activation, &own)),
            (AlertKind::Unusual, unusual(&own, limits)),
        ];
        found.extend(all.into_iter().filter_map(|(kind, words)| {
            Some(Matter {
                kind,
                about: format!("activation:{}", activation.name),
                activation_id: Some(activation.id),
                source_id: None,
                words: bounded(&words?),
            })
        }));
    }
    found
}

fn bounded(words: &str) -> String {
    words.chars().take(MOST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn waits(runs: &[&RunFacts]) -> Option<String> {
    let run = runs.iter().find(|run| run.state == RunState::Waiting)?;
    let asks = run.asks.as_deref().unwrap_or("it asks for a yes");
    Some(format!("run {} waits for an answer: {asks}", run.id))
}

fn fails(activation: &ActivationFacts, runs: &[&RunFacts], limits: &Limits, now: DateTime<Utc>) -> Option<String> {
    if let (Some(error), Some(since)) = (&activation.error, activation.failing_since)
        && since <= now - limits.failing
    {
        return Some(format!("failing since {}: {error}", minute(since)));
    }
    let last = runs.iter().find(|run| is_ended(run))?;
    let error = last.error.as_deref().unwrap_or("no reason was noted");
    match last.state {
        RunState::Failed => Some(format!("run {} failed: {error}", last.id)),
        // Who stopped it by hand knows.
        RunState::Stopped if !last.by_hand => Some(format!("run {} was stopped: {error}", last.id)),
        _ => None,
    }
}

fn is_ended(run: &RunFacts) -> bool {
    matches!(run.state, RunState::Done | RunState::Failed | RunState::Stopped)
}

fn late(activation: &ActivationFacts, limits: &Limits, now: DateTime<Utc>) -> Option<String> {
    let is_late = |at: &DateTime<Utc>| activation.works && *at <= now - limits.late;
    // What became due while it was paused is late only once it had its time since it goes on.
    let due = |since: DateTime<Utc>| activation.replan_at.map_or(since, |replan| since.max(replan));
    if let Some(since) = activation.due_since.map(due).filter(is_late) {
        return Some(format!("what changed at {} is not planned yet", minute(since)));
    }
    let next = activation.next_at.filter(is_late)?;
    Some(format!("the run that was due at {} has not begun", minute(next)))
}

fn left_out(activation: &ActivationFacts, runs: &[&RunFacts]) -> Option<String> {
    let run = runs.iter().find(|run| run.state == RunState::Done)?;
    let usual = Guards::default();
    let percent = activation.definition["guards"]["alert_skipped_percent"].as_f64();
    let guards = Guards { alert_skipped_percent: percent.unwrap_or(usual.alert_skipped_percent), ..usual };
    let of = |state: &str| run.counts.results.get(state).copied().unwrap_or(0);
    let all: u64 = ["created", "updated", "unchanged", "failed", "unknown", "skipped"].map(of).iter().sum();
    let (rows, left_out) = (all + run.counts.same, of("failed") + of("skipped"));
    guard::many_left_out(&guards, rows, left_out).then(|| {
        format!(
            "of {rows} rows of run {} {} failed and {} were skipped, more than alert_skipped_percent = {}",
            run.id,
            of("failed"),
            of("skipped"),
            guards.alert_skipped_percent
        )
    })
}

/// The latest finished run against the median of those of its kind before. What is always on may rest: there only more counts.
fn unusual(runs: &[&RunFacts], limits: &Limits) -> Option<String> {
    let mut done = runs.iter().filter(|run| run.state == RunState::Done && run.kind != RunKind::Undo);
    let last = done.next()?;
    let mut before: Vec<u64> = done.filter(|run| run.kind == last.kind).map(|run| changed(run)).collect();
    if before.len() < USUAL_RUNS {
        return None;
    }
    before.sort_unstable();
    let (now, usual) = (changed(last), before[before.len() / 2]);
    let (less, more) = (now.min(usual), now.max(usual));
    let far = more - less >= limits.floor && more as f64 > less as f64 * limits.factor;
    let counts = now > usual || last.kind == RunKind::Run;
    (far && counts)
        .then(|| format!("run {} changed {now} records; usual of the {} before is {usual}", last.id, before.len()))
}

fn changed(run: &RunFacts) -> u64 {
    ["created", "updated"].iter().filter_map(|state| run.counts.results.get(*state)).sum()
}

/// Credentials that have ended or end soon.
pub fn of_credentials(all: &[CredentialFacts], limits: &Limits, now: DateTime<Utc>) -> Vec<Matter> {
    let ending = all.iter().filter(|one| one.lost || one.ends_at <= now + limits.credentials);
    let matter = |one: &CredentialFacts| {
        let words = match (one.lost, one.ends_at <= now) {
            (true, _) => "Zendesk refuses the credentials".to_string(),
            (_, true) => format!("the credentials ended on {}", one.ends_at.date_naive()),
            _ => format!("the credentials end on {}", one.ends_at.date_naive()),
        };
        Matter {
            kind: AlertKind::Credentials,
            about: format!("source:{}", one.source),
            activation_id: None,
            source_id: Some(one.source_id),
            words: bounded(&format!("{words}. {}", one.todo)),
        }
    };
    ending.map(matter).collect()
}

/// What follows for one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// One begins.
    Open(Matter),
    /// One that is open is told of: again with these words, or that it is over.
    Tell(Alert, News),
}

/// What follows from what is the matter now for the alerts that are open. Each is told of again once a day.
pub fn steps(open: Vec<Alert>, matters: Vec<Matter>, now: DateTime<Utc>) -> Vec<Step> {
    let is_of = |alert: &Alert, matter: &Matter| alert.kind == matter.kind && alert.about == matter.about;
    let begins = matters.iter().filter(|matter| !open.iter().any(|alert| is_of(alert, matter)));
    let mut steps: Vec<Step> = begins.cloned().map(Step::Open).collect();
    for alert in open {
        match matters.iter().find(|matter| is_of(&alert, matter)) {
            None => steps.push(Step::Tell(alert, News::Recovered)),
            Some(matter) if alert.told_at <= now - AGAIN => {
                steps.push(Step::Tell(Alert { words: matter.words.clone(), ..alert }, News::StillOpen));
            }
            Some(_) => {}
        }
    }
    steps
}

/// How long to wait after so many failed tries of a message, 1 or more.
pub fn wait(tries: u32) -> Duration {
    let doubled = WAIT.0.saturating_mul(1 << tries.saturating_sub(1).min(20));
    Duration::seconds(doubled.min(WAIT.1))
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::push::RunCounts;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).expect("a time")
    }

    fn ago(minutes: i64) -> Option<DateTime<Utc>> {
        Some(now() - Duration::minutes(minutes))
    }

    fn limits() -> Limits {
        let (failing, late) = (Duration::minutes(2), Duration::minutes(15));
        Limits { failing, late, credentials: Duration::days(14), factor: 5.0, floor: 100 }
    }

    fn quiet() -> ActivationFacts {
        ActivationFacts {
            id: 1,
            name: "tiers".into(),
            works: true,
            definition: json!({}),
            error: None,
            failing_since: None,
            next_at: None,
            replan_at: None,
            due_since: None,
        }
    }

    fn run(id: i64, state: RunState, results: &[(&str, u64)]) -> RunFacts {
        let results = results.iter().map(|(state, count)| ((*state).to_string(), *count)).collect();
        let counts = RunCounts { results, ..RunCounts::default() };
        RunFacts { id, activation_id: 1, kind: RunKind::Run, state, counts, asks: None, error: None, by_hand: false }
    }

    #[track_caller]
    fn check(activation: ActivationFacts, runs: &[RunFacts], expected: &[(AlertKind, &str)]) {
        let found = of_activations(&[activation], runs, &limits(), now());
        let found: Vec<(AlertKind, &str)> = found.iter().map(|matter| (matter.kind, matter.words.as_str())).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.0 == expected.0 && found.1.contains(expected.1), "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn what_fails_waits_or_is_late() {
        let failing =
            |minutes| ActivationFacts { error: Some("no field".into()), failing_since: ago(minutes), ..quiet() };
        check(quiet(), &[], &[]);
        check(failing(1), &[], &[]);
        check(failing(2), &[], &[(AlertKind::Failed, "UTC: no field")]);
        let because = |run: RunFacts, error: &str| RunFacts { error: Some(error.into()), ..run };
        let failed = because(run(7, RunState::Failed, &[]), "the query takes too long");
        let stopped = because(run(7, RunState::Stopped, &[]), "25 of 30 failed");
        check(quiet(), std::slice::from_ref(&failed), &[(AlertKind::Failed, "run 7 failed: the query takes")]);
        check(quiet(), &[RunFacts { by_hand: true, ..stopped.clone() }], &[]);
        check(quiet(), std::slice::from_ref(&stopped), &[(AlertKind::Failed, "run 7 was stopped: 25 of 30")]);
        check(quiet(), &[failed.clone(), run(8, RunState::Done, &[])], &[]);
        check(quiet(), &[failed.clone(), run(8, RunState::Sending, &[])], &[(AlertKind::Failed, "run 7")]);
        let waiting = RunFacts { asks: Some("it would clear 9 fields".into()), ..run(9, RunState::Waiting, &[]) };
        check(failing(60), &[failed, waiting], &[(AlertKind::Waiting, "run 9 waits for an answer: it would clear 9")]);
        let due = |minutes| ActivationFacts { due_since: ago(minutes), ..quiet() };
        let missed = |minutes| ActivationFacts { next_at: ago(minutes), ..quiet() };
        check(due(14), &[], &[]);
        check(due(15), &[], &[(AlertKind::Late, "is not planned yet")]);
        check(ActivationFacts { replan_at: ago(1), ..due(600) }, &[], &[]);
        check(ActivationFacts { replan_at: ago(15), ..due(600) }, &[], &[(AlertKind::Late, "is not planned yet")]);
        check(missed(14), &[], &[]);
        check(missed(16), &[], &[(AlertKind::Late, "has not begun")]);
        check(ActivationFacts { works: false, ..due(60) }, &[], &[]);
        check(ActivationFacts { due_since: ago(60), ..failing(60) }, &[], &[(AlertKind::Failed, "no field")]);
    }

    #[test]
    fn what_is_left_out_or_unusual() {
        let done = |results: &[(&str, u64)]| [run(5, RunState::Done, results)];
        check(quiet(), &done(&[("updated", 90), ("failed", 4), ("failed.agent", 4), ("skipped", 6)]), &[]);
        let many = [("updated", 89), ("failed", 5), ("failed.agent", 5), ("skipped", 6), ("skipped.deleted", 6)];
        check(quiet(), &done(&many), &[(AlertKind::Skipped, "of 100 rows of run 5 5 failed and 6 were skipped")]);
        let strict = ActivationFacts { definition: json!({"guards": {"alert_skipped_percent": 1.5}}), ..quiet() };
        check(strict, &done(&[("updated", 98), ("failed", 2)]), &[(AlertKind::Skipped, "alert_skipped_percent = 1.5")]);
        let runs = |counts: &[u64], kind| -> Vec<RunFacts> {
            let numbered = counts.iter().zip(1..);
            numbered.map(|(count, id)| RunFacts { kind, ..run(id, RunState::Done, &[("updated", *count)]) }).collect()
        };
        let far = |counts: &[u64], kind, words: Option<&str>| {
            let expected: Vec<(AlertKind, &str)> = words.map(|words| (AlertKind::Unusual, words)).into_iter().collect();
            check(quiet(), &runs(counts, kind), &expected);
        };
        far(&[50, 60, 9_000], RunKind::Run, None);
        far(&[50, 60, 70, 300], RunKind::Run, None);
        far(&[50, 60, 70, 301], RunKind::Run, Some("run 4 changed 301 records; usual of the 3 before is 60"));
        far(&[0, 0, 0, 99], RunKind::Run, None);
        far(&[0, 0, 0, 100], RunKind::Run, Some("changed 100"));
        far(&[600, 700, 800, 10], RunKind::Run, Some("changed 10 records"));
        far(&[600, 700, 800, 10], RunKind::Always, None);
        far(&[60, 70, 80, 1_000], RunKind::Always, Some("changed 1000"));
    }

    #[test]
    fn credentials_that_end() {
        let check = |days, lost, expected: Option<&str>| {
            let ends_at = now() + Duration::days(days);
            let one = CredentialFacts { source_id: 3, source: "acme".into(), ends_at, lost, todo: "Sign in again." };
            let found = of_credentials(&[one], &limits(), now());
            let words = found.first().map(|matter| matter.words.as_str());
            assert_eq!(words.is_some(), expected.is_some(), "{days}");
            assert!(words.unwrap_or_default().contains(expected.unwrap_or_default()), "{words:?}");
        };
        check(15, false, None);
        check(14, false, Some("the credentials end on "));
        check(-1, false, Some("the credentials ended on "));
        check(60, true, Some("Zendesk refuses the credentials. Sign in again."));
    }

    #[test]
    fn each_is_told_of_once_then_daily_then_when_it_is_over() {
        let matter = |about: &str| Matter {
            kind: AlertKind::Failed,
            about: about.into(),
            activation_id: None,
            source_id: None,
            words: "new".into(),
        };
        let alert = |about: &str, hours| Alert {
            id: 1,
            kind: AlertKind::Failed,
            about: about.into(),
            words: "old".into(),
            opened_at: now() - Duration::hours(90),
            told_at: now() - Duration::hours(hours),
            recovered_at: None,
        };
        let check = |open: &[Alert], matters: &[Matter], expected: &[Step]| {
            assert_eq!(steps(open.to_vec(), matters.to_vec(), now()), expected, "{open:?} {matters:?}");
        };
        check(&[], &[], &[]);
        check(&[], &[matter("a")], &[Step::Open(matter("a"))]);
        check(&[alert("a", 23)], &[matter("a")], &[]);
        let again = Alert { words: "new".into(), ..alert("a", 24) };
        check(&[alert("a", 24)], &[matter("a")], &[Step::Tell(again, News::StillOpen)]);
        check(&[alert("a", 1)], &[], &[Step::Tell(alert("a", 1), News::Recovered)]);
        let changed = [Step::Open(matter("b")), Step::Tell(alert("a", 1), News::Recovered)];
        check(&[alert("a", 1)], &[matter("b")], &changed);
    }

    #[test]
    fn waits_are_doubled_and_bounded() {
        for (tries, seconds) in [(1, 30), (2, 60), (7, 1_920), (8, 3_600), (40, 3_600)] {
            assert_eq!(wait(tries).num_seconds(), seconds, "{tries}");
        }
    }
}
