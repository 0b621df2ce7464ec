//! What is known of our webhook in Zendesk.

use chrono::{DateTime, Duration, Utc};

/// Repairs in [`REPAIRS_COUNTED_FOR`] after which we stop: somebody undoes them, and two who undo each other never end.
const MOST_REPAIRS: i32 = 5;

/// How long repairs are counted together.
const REPAIRS_COUNTED_FOR: Duration = Duration::hours(1);

/// How long what does not match is asked for again while a signing secret is being replaced; a replacement that takes
/// longer was broken off.
pub const ROTATION_TAKES: Duration = Duration::minutes(5);

/// Our webhook as it was last found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// When it was last looked at.
    pub checked_at: Option<DateTime<Utc>>,
    /// What is wrong and not repaired.
    pub problem: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when that is known.
    pub since: Option<DateTime<Utc>>,
    /// What was last repaired.
    pub repaired: Option<String>,
    /// When that was.
    pub repaired_at: Option<DateTime<Utc>>,
    /// Repairs since `repairs_since`.
    pub repairs: i32,
    /// Since when they are counted.
    pub repairs_since: Option<DateTime<Utc>>,
    /// How far Zendesk's log of deliveries was read.
    pub log_through: Option<DateTime<Utc>>,
    /// Deliveries that arrived, by that log.
    pub arrived: i64,
    /// Deliveries that failed.
    pub failed: i64,
    /// Deliveries that Zendesk held back.
    pub held: i64,
    /// Deliveries that failed and were taken from the log.
    pub recovered: i64,
    /// Set while the signing secret is being replaced.
    pub rotating_since: Option<DateTime<Utc>>,
}

impl Watch {
    /// Whether a repair may be made, or somebody else has undone too many of them lately.
    pub fn may_repair(&self, now: DateTime<Utc>) -> bool {
        self.repairs < MOST_REPAIRS || !self.is_counting(now)
    }

    fn is_counting(&self, now: DateTime<Utc>) -> bool {
        self.repairs_since.is_some_and(|since| now - since < REPAIRS_COUNTED_FOR)
    }

    /// Notes what was repaired.
    pub fn note_repair(&mut self, what: String, now: DateTime<Utc>) {
        if !self.is_counting(now) {
            (self.repairs, self.repairs_since) = (0, Some(now));
        }
        self.repairs += 1;
        (self.repaired, self.repaired_at) = (Some(what), Some(now));
    }

    /// Notes what is wrong, or that nothing is. True when that is news.
    pub fn note_problem(&mut self, problem: Option<(String, String)>, now: DateTime<Utc>) -> bool {
        let (problem, remedy) = problem.unzip();
        let is_news = self.problem != problem;
        if is_news {
            self.since = problem.as_ref().map(|_| now);
        }
        (self.problem, self.remedy) = (problem, remedy);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_undoes_each_other_stops_after_five_repairs_an_hour() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let mut watch = Watch::default();
        let mut made = 0;
        for minute in (0..180).step_by(5) {
            let now = start + Duration::minutes(minute);
            if watch.may_repair(now) {
                watch.note_repair("x".into(), now);
                made += 1;
            }
        }
        assert_eq!(made, 15, "five in each of three hours");
    }

    #[test]
    fn a_problem_is_news_once_and_its_end_is_too() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let mut watch = Watch::default();
        let problem = || Some(("gone".to_string(), "make it".to_string()));
        assert!(!watch.note_problem(None, now));
        assert!(watch.note_problem(problem(), now));
        assert!(!watch.note_problem(problem(), now + Duration::hours(1)));
        assert_eq!(watch.since, Some(now));
        assert!(watch.note_problem(None, now));
        assert_eq!((watch.since, watch.remedy), (None, None));
    }
}
