//! What one process knows of the budgets that all share: what it was granted, what it awaits, what it has to tell. Pure.
//!
//! A process that asks for the first time is granted one request, and twice as many whenever it used up what it had, up to
//! a tenth of what is left. So a busy minute costs some dozens of exchanges, not one a request.

use super::budget::{Budget, Draw};
use super::window::{GRANT_LASTS, Millis, Report, Terms, Told, Window};
use std::collections::{HashMap, VecDeque};

/// How far the wall clock and the steady clock may come apart before times are no longer trusted.
const JUMP: Millis = 1_000;

/// More purses than this are looked through for those of single records that nothing is known of any more.
const MANY: usize = 1_000;

/// What of a budget may stay untold while nothing is awaited: so much may other processes miss.
const UNTOLD: f64 = 0.01;

/// Answers kept to be told; older ones say nothing that newer ones do not.
const MOST_TOLD: usize = 8;

/// How the budgets of an account are to be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Requests a minute of the account, until Zendesk's headers tell.
    pub requests: u32,
    /// Export requests a minute, until Zendesk's headers tell.
    pub exports: u32,
    /// The share of `requests` that is ours.
    pub share: f64,
    /// The share of ours that is left to what is urgent.
    pub urgent_share: f64,
}

impl Shares {
    /// How one budget is to be used.
    pub fn terms(&self, budget: Budget) -> Terms {
        let limit = budget.limit();
        let (total, share, urgent_share) = match budget {
            Budget::Requests => (self.requests, self.share, self.urgent_share),
            Budget::Exports => (self.exports, 1.0, 0.0),
            _ => (limit.total, 1.0, 0.0),
        };
        Terms { length: i64::from(limit.seconds) * 1_000, total, share, urgent_share }
    }
}

/// What an exchange with the shared windows brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests granted of each budget; none where nothing was asked for or one of them is spent.
    pub granted: Vec<u32>,
    /// Requests left of each.
    pub left: Vec<i64>,
    /// How long to wait before asking again, when nothing was granted.
    pub wait: Millis,
    /// Refusals that were our own doing.
    pub own_refusals: u32,
    /// Refusals because others had used the budget.
    pub others_refusals: u32,
}

/// What a process knows of one budget.
#[derive(Debug, Default)]
struct Purse {
    granted: u32,
    granted_until: Millis,
    in_flight: u32,
    batch: u32,
    report: Report,
    /// Requests that were answered: when they were sent, and when the answer came.
    recent: VecDeque<(Millis, Millis)>,
    left: i64,
}

impl Purse {
    fn has(&self, now: Millis) -> bool {
        self.granted > 0 && now < self.granted_until
    }

    /// A request was answered, or given up.
    fn answered(&mut self, terms: &Terms, sent: Millis, now: Millis, told: Option<Told>, refused: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match self.report.done.last_mut() {
            Some((at, count)) if *at == now => *count += 1,
            _ => self.report.done.push((now, 1)),
        }
        while self.recent.front().is_some_and(|(sent, _)| *sent <= now - terms.length) {
            self.recent.pop_front();
        }
        if let Some(told) = told {
            self.granted = told.remaining.map_or(self.granted, |remaining| self.granted.min(remaining));
            // Those that were refused may not have been counted: they prove nothing.
            self.report.is_fixed |= !refused && self.proves_fixed(terms, &told);
            self.report.told.push(told);
            if self.report.told.len() > MOST_TOLD {
                self.report.told.remove(0);
            }
        }
        if !refused {
            self.recent.push_back((sent, now));
        }
    }

    /// With sliding windows, all that was surely counted within a window's length would be told as used.
    fn proves_fixed(&self, terms: &Terms, told: &Told) -> bool {
        let (Some(total), Some(remaining), Some(_)) = (told.total, told.remaining, told.resets) else { return false };
        let needed = total.saturating_sub(remaining) + (total / 5).max(2);
        if (self.recent.len() as u32) + 1 < needed {
            return false;
        }
        let surely =
            |(sent, answered): &&(Millis, Millis)| *sent > told.answered - terms.length && *answered < told.sent;
        self.recent.iter().filter(surely).count() as u32 + 1 >= needed
    }

    /// What is to be told now. What was granted and not sent is given back.
    fn tell(&mut self, holder: u64, now: Millis) -> Report {
        let used_up = self.granted == 0 && now < self.granted_until;
        self.batch = if used_up { self.batch.saturating_mul(2).max(1) } else { 1 };
        self.granted = 0;
        Report { holder, in_flight: self.in_flight, ..self.report.clone() }
    }

    /// Forgets what was told.
    fn told(&mut self, report: &Report) {
        for (at, count) in &report.done {
            if let Some((_, known)) = self.report.done.iter_mut().find(|(known, _)| known == at) {
                *known -= count;
            }
        }
        self.report.done.retain(|(_, count)| *count > 0);
        self.report.told.retain(|told| !report.told.contains(told));
        self.report.is_fixed &= !report.is_fixed;
        self.report.jumped &= !report.jumped;
        self.report.refused_until = self.report.refused_until.filter(|until| Some(*until) != report.refused_until);
    }

    fn untold(&self) -> u32 {
        self.granted + self.report.done.iter().map(|(_, count)| count).sum::<u32>()
    }

    fn is_idle(&self, now: Millis) -> bool {
        self.in_flight == 0 && self.report.done.is_empty() && now >= self.granted_until
    }
}

/// The purses of one process for one account.
#[derive(Debug)]
pub struct Purses {
    holder: u64,
    shares: Shares,
    all: HashMap<Draw, Purse>,
    /// What the wall clock was ahead of the steady one.
    ahead: Option<Millis>,
    has_jumped: bool,
}

impl Purses {
    /// Empty purses of a process that calls itself `holder`.
    pub fn new(holder: u64, shares: Shares) -> Purses {
        Purses { holder, shares, all: HashMap::new(), ahead: None, has_jumped: false }
    }

    /// Looks whether the wall clock jumped against the steady one: set by hand, or the machine slept. What was noted by time is
    /// worth nothing then.
    pub fn look_at_clocks(&mut self, now: Millis, steady: Millis) {
        let ahead = now - steady;
        let jumped = self.ahead.is_some_and(|known| (ahead - known).abs() > JUMP);
        if jumped || self.ahead.is_none() {
            self.ahead = Some(ahead);
        }
        if jumped {
            self.has_jumped = true;
            for purse in self.all.values_mut() {
                (purse.granted, purse.granted_until) = (0, 0);
                purse.recent.clear();
                purse.report.jumped = true;
                purse.report.told.clear();
                purse.report.done.iter_mut().for_each(|(at, _)| *at = now);
            }
        }
    }

    fn purse(&mut self, draw: &Draw) -> &mut Purse {
        let jumped = self.has_jumped;
        self.all.entry(draw.clone()).or_insert_with(|| {
            let report = Report { jumped, ..Report::default() };
            Purse { report, ..Purse::default() }
        })
    }

    /// Takes a request from all of its budgets, if all were granted.
    pub fn take(&mut self, draws: &[Draw], now: Millis) -> bool {
        if !draws.iter().all(|draw| self.purse(draw).has(now)) {
            return false;
        }
        for draw in draws {
            let purse = self.purse(draw);
            purse.granted -= 1;
            purse.in_flight += 1;
            purse.left -= 1;
        }
        true
    }

    /// A request was answered, or given up: what its headers told of each budget, and whether it was refused with 429 and until
    /// when to stop. True when this is to be told to the others now.
    pub fn answered(
        &mut self,
        draws: &[Draw],
        sent: Millis,
        now: Millis,
        told: &[Option<Told>],
        refused_until: Option<Millis>,
    ) -> bool {
        let mut tell = refused_until.is_some();
        let spent = |told: &Option<Told>| told.is_some_and(|told| told.remaining == Some(0));
        let refuser = told.iter().rposition(spent).unwrap_or(draws.len().saturating_sub(1));
        for (place, draw) in draws.iter().enumerate() {
            let terms = self.shares.terms(draw.budget);
            let purse = self.purse(draw);
            let is_sane = |told: &Told| told.total.is_none_or(|total| terms.believes(total));
            let told = told.get(place).copied().flatten().filter(is_sane);
            purse.answered(&terms, sent, now, told, refused_until.is_some());
            if place == refuser && refused_until.is_some() {
                purse.report.refused_until = purse.report.refused_until.max(refused_until);
            }
            let total = told.and_then(|told| told.total).unwrap_or(terms.total);
            tell |= purse.in_flight == 0 && f64::from(purse.untold()) > f64::from(total) * UNTOLD;
        }
        tell
    }

    /// What is to be told of these budgets. What was granted and not sent is given back.
    pub fn tell(&mut self, draws: &[Draw], now: Millis) -> Vec<Report> {
        if self.all.len() > MANY {
            self.all.retain(|draw, purse| draw.key.is_empty() || draws.contains(draw) || !purse.is_idle(now));
        }
        let holder = self.holder;
        draws.iter().map(|draw| self.purse(draw).tell(holder, now)).collect()
    }

    /// How many requests to ask for of each budget.
    pub fn wanted(&mut self, draws: &[Draw], urgent: bool) -> Vec<u32> {
        draws.iter().map(|draw| if urgent { 1 } else { self.purse(draw).batch }).collect()
    }

    /// Takes in what the exchange brought.
    pub fn exchanged(&mut self, draws: &[Draw], reports: &[Report], outcome: &Outcome, now: Millis) {
        for (place, (draw, report)) in draws.iter().zip(reports).enumerate() {
            let purse = self.purse(draw);
            purse.told(report);
            purse.left = outcome.left.get(place).copied().unwrap_or_default();
            if let Some(granted) = outcome.granted.get(place) {
                purse.granted = *granted;
                purse.granted_until = now + GRANT_LASTS;
            }
        }
    }

    /// Requests left of the account's budgets, as last heard.
    pub fn left(&self) -> Vec<(Budget, i64)> {
        let own = self.all.iter().filter(|(draw, _)| draw.key.is_empty());
        own.map(|(draw, purse)| (draw.budget, purse.left.max(0))).collect()
    }
}

/// The exchange itself, on the shared windows of `draws`: takes in the reports, and grants what is wanted if every budget has
/// something left.
pub fn exchange(
    shares: &Shares,
    draws: &[Draw],
    reports: &[Report],
    wanted: Option<(&[u32], bool)>,
    windows: &mut [Window],
    now: Millis,
) -> Outcome {
    let mut outcome = Outcome::default();
    for ((draw, window), report) in draws.iter().zip(windows.iter_mut()).zip(reports) {
        let ours = window.take_in(&shares.terms(draw.budget), now, report);
        let refused = u32::from(report.refused_until.is_some());
        outcome.own_refusals += refused * u32::from(ours);
        outcome.others_refusals += refused * u32::from(!ours);
    }
    if let Some((wanted, urgent)) = wanted {
        let both = draws.iter().zip(windows.iter());
        let closed = both.map(|(draw, window)| window.closed_for(&shares.terms(draw.budget), now, urgent));
        match closed.max().flatten() {
            Some(wait) => outcome.wait = wait,
            None => {
                let all = draws.iter().zip(windows.iter_mut()).zip(reports).zip(wanted);
                let grant = all.map(|(((draw, window), report), wanted)| {
                    window.grant(&shares.terms(draw.budget), now, report.holder, *wanted, urgent)
                });
                outcome.granted = grant.collect();
            }
        }
    }
    let left = |(draw, window): (&Draw, &Window)| window.left(&shares.terms(draw.budget), now, true);
    outcome.left = draws.iter().zip(windows.iter()).map(left).collect();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares { requests: 200, exports: 10, share: 0.8, urgent_share: 0.05 };
    const START: Millis = 1_800_000_000_000;

    /// A process with windows of its own, and clocks that are moved by hand.
    struct Desk {
        purses: Purses,
        windows: HashMap<Draw, Window>,
        wall: Millis,
        steady: Millis,
    }

    impl Desk {
        fn new() -> Desk {
            Desk { purses: Purses::new(1, SHARES), windows: HashMap::new(), wall: START, steady: 0 }
        }

        fn pass(&mut self, millis: Millis) {
            self.wall += millis;
            self.steady += millis;
        }

        fn exchange(&mut self, draws: &[Draw], urgent: bool) -> Outcome {
            let reports = self.purses.tell(draws, self.wall);
            let wanted = self.purses.wanted(draws, urgent);
            let mut windows: Vec<Window> =
                draws.iter().map(|draw| self.windows.remove(draw).unwrap_or_default()).collect();
            let outcome =
                exchange(&SHARES, draws, &reports, Some((wanted.as_slice(), urgent)), &mut windows, self.wall);
            self.windows.extend(draws.iter().cloned().zip(windows));
            self.purses.exchanged(draws, &reports, &outcome, self.wall);
            outcome
        }

        /// Makes a request that is answered at once, or says how long that would take.
        fn ask(&mut self, draws: &[Draw], urgent: bool, told: Option<(u32, u32, u32)>) -> Result<(), Millis> {
            self.purses.look_at_clocks(self.wall, self.steady);
            if !self.purses.take(draws, self.wall) {
                let outcome = self.exchange(draws, urgent);
                if !self.purses.take(draws, self.wall) {
                    return Err(outcome.wait);
                }
            }
            let told = told.map(|(total, remaining, resets)| Told {
                sent: self.wall,
                answered: self.wall,
                total: Some(total),
                remaining: Some(remaining),
                resets: Some(resets),
            });
            self.purses.answered(draws, self.wall, self.wall, &vec![told; draws.len()], None);
            Ok(())
        }

        /// How many requests are allowed now.
        fn burst(&mut self, draws: &[Draw], urgent: bool) -> u32 {
            (0..10_000).take_while(|_| self.ask(draws, urgent, None).is_ok()).count() as u32
        }
    }

    fn requests() -> Vec<Draw> {
        vec![Budget::Requests.into()]
    }

    fn exports() -> Vec<Draw> {
        vec![Budget::Requests.into(), Budget::Exports.into()]
    }

    #[test]
    fn ten_exports_a_minute_and_not_one_more() {
        let mut desk = Desk::new();
        assert_eq!(desk.burst(&exports(), false), 10);
        let wait = desk.ask(&exports(), false, None).expect_err("the eleventh waits");
        assert!((60_000..60_500).contains(&wait), "{wait}");
        assert!(desk.ask(&requests(), false, None).is_ok(), "other requests go on");
        desk.pass(wait);
        assert_eq!(desk.burst(&exports(), false), 10);
    }

    #[test]
    fn our_share_is_kept_and_a_part_of_it_is_for_what_is_urgent() {
        let mut desk = Desk::new();
        assert_eq!(desk.ask(&requests(), false, None), Ok(()), "the first answer tells that no header tells");
        assert_eq!(desk.burst(&requests(), false) + 1, 152);
        assert_eq!(desk.burst(&requests(), true), 8);
    }

    #[test]
    fn before_the_first_answer_the_smallest_plan_is_assumed() {
        let mut desk = Desk::new();
        let draws = requests();
        let in_flight = (0..100).take_while(|_| {
            desk.purses.take(&draws, desk.wall) || {
                desk.exchange(&draws, false);
                desk.purses.take(&draws, desk.wall)
            }
        });
        assert_eq!(in_flight.count(), 8);
    }

    #[test]
    fn limits_are_learnt_up_and_down() {
        let check = |total: u32, expected: u32| {
            let mut desk = Desk::new();
            assert_eq!(desk.ask(&requests(), true, Some((total, total - 1, 30))), Ok(()));
            assert_eq!(desk.burst(&requests(), true) + 1, expected, "{total}");
        };
        check(10, 8);
        check(200, 160);
        check(700, 560);
        check(2_500, 2_000);
    }

    #[test]
    fn what_others_used_is_not_asked_for() {
        let mut desk = Desk::new();
        assert_eq!(desk.ask(&exports(), false, Some((10, 3, 30))), Ok(()));
        assert_eq!(desk.burst(&exports(), false), 3);
    }

    #[test]
    fn no_jump_of_a_clock_allows_a_burst_or_stops_for_ever() {
        let day = 86_400_000;
        for jump in [-day, -30_000, 30_000, 61_000, day] {
            let mut desk = Desk::new();
            assert_eq!(desk.burst(&exports(), false), 10);
            desk.wall += jump;
            assert_eq!(desk.burst(&exports(), false), 0, "{jump}");
            desk.pass(60_500);
            assert_eq!(desk.burst(&exports(), false), 10, "{jump}");
        }
    }

    #[test]
    fn a_refusal_stops_its_budget_for_ten_minutes_at_most() {
        let check = |wait: Millis, expected: Millis| {
            let mut desk = Desk::new();
            let draws = exports();
            desk.exchange(&draws, false);
            assert!(desk.purses.take(&draws, desk.wall));
            let until = desk.wall.saturating_add(wait);
            assert!(desk.purses.answered(&draws, desk.wall, desk.wall, &[], Some(until)));
            assert_eq!(desk.ask(&draws, false, None), Err(expected), "{wait}");
            assert_eq!(desk.ask(&requests(), false, None), Ok(()), "the other budget is open");
        };
        check(7_000, 7_000);
        check(i64::MAX, 600_000);
    }
}
