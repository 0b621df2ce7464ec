//! A year of simulated traffic: what the limiter decides, against a model of Zendesk's counting. Time goes from event to event.
//!
//! Two processes share an account whose windows are fixed with an unknown phase, or slide; other apps use the same budgets;
//! processes die in the midst of requests, clocks jump, the plan changes. Held: no refusal that our own arithmetic could have
//! avoided, and of our share less than 5 % unused while work waits.

use super::budget::{Budget, Draw};
use super::purse::{Purses, Shares, exchange};
use super::window::{Millis, Told, Window};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;
const MONTH: Millis = 30 * DAY;
const YEAR: Millis = 365 * DAY;

/// One budget as Zendesk counts it.
struct Counter {
    total: u32,
    /// None: sliding.
    phase: Option<Millis>,
    /// Requests counted: when, and whether ours.
    counted: VecDeque<(Millis, bool)>,
    window: i64,
}

impl Counter {
    fn new(total: u32, phase: Option<Millis>) -> Counter {
        Counter { total, phase, counted: VecDeque::new(), window: i64::MIN }
    }

    fn turn(&mut self, now: Millis) {
        match self.phase {
            Some(phase) => {
                let window = (now - phase).div_euclid(MINUTE);
                if window != self.window {
                    self.counted.clear();
                    self.window = window;
                }
            }
            None => {
                while self.counted.front().is_some_and(|(at, _)| at + MINUTE <= now) {
                    self.counted.pop_front();
                }
            }
        }
    }

    fn ours(&self) -> u32 {
        self.counted.iter().filter(|(_, ours)| *ours).count() as u32
    }

    fn is_spent(&self) -> bool {
        self.counted.len() as u32 >= self.total
    }

    fn told(&self, now: Millis) -> (u32, u32, u32) {
        let resets = match (self.phase, self.counted.front()) {
            (Some(phase), _) => MINUTE - (now - phase).rem_euclid(MINUTE),
            (None, Some((first, _))) => first + MINUTE - now,
            (None, None) => MINUTE,
        };
        let resets = (resets + SECOND - 1) / SECOND;
        (self.total, self.total.saturating_sub(self.counted.len() as u32), resets as u32)
    }
}

/// What a worker does.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// Reads exports.
    Exports,
    /// Reads lists and single records.
    Requests,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker goes on: which, and in which life of its process.
    Go(usize, u32),
    Arrives(usize, u32, Millis),
    Answered(usize, u32, Millis, bool, Vec<(u32, u32, u32)>),
    Others,
    Poll,
    Backfill(bool),
    Dies(usize),
    Jumps,
    Plan,
}

struct Worker {
    process: usize,
    work: Work,
    waiting: u64,
    busy: bool,
}

/// What came of it.
#[derive(Default, Debug)]
struct Tally {
    requests: u64,
    avoidable: u64,
    others_doing: u64,
    over_share: u64,
    /// Of the requests and of the exports: what our share allowed in minutes of work, and what of it was left.
    allowed: [u64; 2],
    unused: [u64; 2],
}

struct Year {
    rng: StdRng,
    now: Millis,
    /// The wall clock is ahead of true time by so much.
    ahead: Millis,
    events: BinaryHeap<Reverse<(Millis, u64, Event)>>,
    next: u64,
    counters: [Counter; 2],
    /// Requests of the plan that the account changes to, and when it last changed.
    other_plan: u32,
    changed_at: Millis,
    windows: HashMap<Draw, Window>,
    processes: Vec<Purses>,
    lives: Vec<u32>,
    workers: Vec<Worker>,
    shares: Shares,
    others: f64,
    backfill: bool,
    /// The present minute, and whether work waited when it began.
    minute: i64,
    whole_minute: bool,
    spent_told: [Option<(Millis, i64)>; 2],
    tally: Tally,
}

fn draws(work: Work) -> Vec<Draw> {
    match work {
        Work::Exports => vec![Budget::Requests.into(), Budget::Exports.into()],
        Work::Requests => vec![Budget::Requests.into()],
    }
}

impl Year {
    fn new(seed: u64, requests: u32, phase: Option<Millis>, others: f64) -> Year {
        let shares = Shares { requests: 200, exports: 10, share: 0.8, urgent_share: 0.015 };
        let kinds = [Work::Exports, Work::Exports, Work::Requests, Work::Requests, Work::Requests];
        let workers = (0..2).flat_map(|process| kinds.map(|work| Worker { process, work, waiting: 0, busy: false }));
        let mut year = Year {
            rng: StdRng::seed_from_u64(seed),
            now: 1_800_000_000_000,
            ahead: 0,
            events: BinaryHeap::new(),
            next: 0,
            counters: [Counter::new(requests, phase), Counter::new(10, phase)],
            other_plan: requests,
            changed_at: 0,
            windows: HashMap::new(),
            processes: (0..2).map(|holder| Purses::new(holder, shares)).collect(),
            lives: vec![0, 0],
            workers: workers.collect(),
            shares,
            others,
            backfill: false,
            minute: 0,
            whole_minute: false,
            spent_told: [None, None],
            tally: Tally::default(),
        };
        for event in [Event::Poll, Event::Others, Event::Dies(0), Event::Dies(1), Event::Jumps, Event::Backfill(true)] {
            year.at(SECOND, event);
        }
        year
    }

    fn with(mut self, event: Event) -> Year {
        self.at(20 * DAY, event);
        self
    }

    fn at(&mut self, after: Millis, event: Event) {
        self.next += 1;
        self.events.push(Reverse((self.now + after.max(0), self.next, event)));
    }

    fn wall(&self) -> Millis {
        self.now + self.ahead
    }

    fn run(&mut self, length: Millis) {
        let end = self.now + length;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > end {
                break;
            }
            self.pass_to(at);
            self.happen(event);
        }
    }

    /// Closes the minutes of Zendesk's windows that end until then, and counts what was left of them.
    fn pass_to(&mut self, at: Millis) {
        let phase = self.counters[0].phase.unwrap_or(0);
        while (at - phase).div_euclid(MINUTE) > self.minute {
            let first = self.minute == 0;
            self.minute += 1;
            if first {
                self.minute = (at - phase).div_euclid(MINUTE);
            }
            if self.whole_minute && !first {
                self.close_minute(phase + self.minute * MINUTE);
            }
            self.whole_minute = self.backfill;
        }
        self.now = at;
    }

    fn close_minute(&mut self, end: Millis) {
        for (place, counter) in self.counters.iter_mut().enumerate() {
            // Fixed windows are closed when they end; the few seconds between the two counters' do not matter.
            if counter.phase.is_none() {
                counter.turn(end);
            }
            let ours = counter.ours();
            let share = if place == 0 { self.shares.share } else { 1.0 };
            let others = counter.counted.len() as u32 - ours;
            let allowed = ((f64::from(counter.total) * share) as u32).min(counter.total - others.min(counter.total));
            self.tally.allowed[place] += u64::from(allowed);
            self.tally.unused[place] += u64::from(allowed.saturating_sub(ours));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Go(worker, life) => self.go(worker, life),
            Event::Arrives(worker, life, sent) => self.arrives(worker, life, sent),
            Event::Answered(worker, life, sent, passed, told) => self.answered(worker, life, sent, passed, told),
            Event::Others => self.others(),
            Event::Poll => {
                for worker in [0, 2, 7] {
                    self.give(worker, 1);
                }
                self.at(5 * MINUTE, Event::Poll);
            }
            Event::Backfill(on) => {
                self.backfill = on;
                for worker in 0..self.workers.len() {
                    self.workers[worker].waiting = if on { u64::MAX / 2 } else { 0 };
                    self.give(worker, 0);
                }
                let length =
                    if on { self.rng.random_range(10..60) * MINUTE } else { self.rng.random_range(3..14) * DAY };
                self.at(length, Event::Backfill(!on));
            }
            Event::Dies(process) => {
                self.lives[process] += 1;
                let holder = self.rng.random();
                self.processes[process] = Purses::new(holder, self.shares);
                for worker in 0..self.workers.len() {
                    if self.workers[worker].process == process {
                        self.workers[worker].busy = false;
                        self.give(worker, 0);
                    }
                }
                let next = self.rng.random_range(1..10 * DAY);
                self.at(next, Event::Dies(process));
            }
            Event::Jumps => {
                self.ahead += self.rng.random_range(-2 * HOUR..2 * HOUR);
                let next = self.rng.random_range(DAY..60 * DAY);
                self.at(next, Event::Jumps);
            }
            Event::Plan => {
                let (known, other) = (self.counters[0].total, self.other_plan);
                (self.counters[0].total, self.other_plan, self.changed_at) = (other, known, self.now);
                self.at(40 * DAY, Event::Plan);
            }
        }
    }

    fn give(&mut self, worker: usize, requests: u64) {
        let it = &mut self.workers[worker];
        it.waiting += requests;
        if !it.busy && it.waiting > 0 {
            it.busy = true;
            let life = self.lives[it.process];
            self.at(0, Event::Go(worker, life));
        }
    }

    fn go(&mut self, worker: usize, life: u32) {
        let (process, work) = (self.workers[worker].process, self.workers[worker].work);
        if self.lives[process] != life {
            return;
        }
        if self.workers[worker].waiting == 0 {
            self.workers[worker].busy = false;
            return;
        }
        let draws = draws(work);
        let (wall, steady) = (self.wall(), self.now);
        self.processes[process].look_at_clocks(wall, steady);
        if !self.processes[process].take(&draws, wall) {
            let wait = self.exchange(process, &draws, true);
            if !self.processes[process].take(&draws, wall) {
                self.at(wait.max(1), Event::Go(worker, life));
                return;
            }
        }
        self.workers[worker].waiting -= 1;
        let way = self.rng.random_range(10..150);
        self.at(way, Event::Arrives(worker, life, self.now));
    }

    fn exchange(&mut self, process: usize, draws: &[Draw], ask: bool) -> Millis {
        let wall = self.wall();
        let purses = &mut self.processes[process];
        let reports = purses.tell(draws, wall);
        let wanted = purses.wanted(draws, false);
        let mut windows: Vec<Window> = draws.iter().map(|draw| self.windows.remove(draw).unwrap_or_default()).collect();
        let asked = ask.then_some((wanted.as_slice(), false));
        let outcome = exchange(&self.shares, draws, &reports, asked, &mut windows, wall);
        self.windows.extend(draws.iter().cloned().zip(windows));
        self.processes[process].exchanged(draws, &reports, &outcome, wall);
        outcome.wait
    }

    fn arrives(&mut self, worker: usize, life: u32, sent: Millis) {
        let count = draws(self.workers[worker].work).len();
        self.tally.requests += 1;
        let mut passed = true;
        let now = self.now;
        for (place, counter) in self.counters[..count].iter_mut().enumerate() {
            counter.turn(now);
            if !counter.is_spent() || !passed {
                continue;
            }
            passed = false;
            // Ours alone, or what we had been told: both could have been known.
            let known = self.spent_told[place]
                .is_some_and(|(told_at, window)| counter.phase.is_some() && window == counter.window && told_at < sent);
            match counter.ours() >= counter.total || known {
                // Nobody could know of a smaller plan before the first answer.
                true if now - self.changed_at < MINUTE => {}
                true => self.tally.avoidable += 1,
                false => self.tally.others_doing += 1,
            }
        }
        if passed {
            for counter in &mut self.counters[..count] {
                counter.counted.push_back((now, true));
            }
        }
        let ours = f64::from(self.counters[0].total) * self.shares.share;
        let over = f64::from(self.counters[0].ours()) > ours.max(1.0) && now - self.changed_at > MINUTE;
        self.tally.over_share += u64::from(over);
        let told: Vec<(u32, u32, u32)> = self.counters[..count].iter().map(|counter| counter.told(now)).collect();
        let back = match (self.workers[worker].work, self.rng.random_range(0..200)) {
            (_, 0) => self.rng.random_range(5 * SECOND..30 * SECOND),
            (Work::Exports, _) => self.rng.random_range(200..1_200),
            (Work::Requests, _) => self.rng.random_range(50..600),
        };
        self.at(back, Event::Answered(worker, life, sent, passed, told));
    }

    fn answered(&mut self, worker: usize, life: u32, sent: Millis, passed: bool, told: Vec<(u32, u32, u32)>) {
        let (process, work) = (self.workers[worker].process, self.workers[worker].work);
        if self.lives[process] != life {
            return;
        }
        let draws = draws(work);
        let (wall, now) = (self.wall(), self.now);
        for (place, (_, remaining, _)) in told.iter().enumerate() {
            if let (0, Some(phase)) = (*remaining, self.counters[place].phase) {
                let window = (sent + 150 - phase).div_euclid(MINUTE);
                // Only what is surely of that window.
                if (sent - phase).div_euclid(MINUTE) == window {
                    self.spent_told[place] = Some((now, window));
                }
            }
        }
        self.processes[process].look_at_clocks(wall, now);
        let spent = told.iter().filter(|(_, remaining, _)| *remaining == 0);
        let retry_after = spent.map(|(_, _, resets)| i64::from(*resets) * SECOND).max().unwrap_or(0);
        let told: Vec<Option<Told>> = told
            .into_iter()
            .map(|(total, remaining, resets)| {
                let (total, remaining, resets) = (Some(total), Some(remaining), Some(resets));
                Some(Told { sent: sent + self.ahead, answered: wall, total, remaining, resets })
            })
            .collect();
        let refused = (!passed).then_some(wall + retry_after);
        if self.processes[process].answered(&draws, sent + self.ahead, wall, &told, refused) {
            self.exchange(process, &draws, false);
        }
        if !passed {
            self.workers[worker].waiting += 1;
        }
        self.at(0, Event::Go(worker, life));
    }

    fn others(&mut self) {
        let now = self.now;
        for counter in &mut self.counters {
            counter.turn(now);
            let busy = self.rng.random_bool(self.others) && !counter.is_spent();
            if busy {
                counter.counted.push_back((now, false));
            }
        }
        let next = self.rng.random_range(0..20 * SECOND);
        self.at(next, Event::Others);
    }
}

fn check(name: &str, seed: u64, length: Millis, mut year: Year) {
    year.run(length);
    let tally = &year.tally;
    // What binds: exports, unless the plan has no more requests than that in all.
    let unused = [0, 1].map(|place| tally.unused[place] as f64 / tally.allowed[place].max(1) as f64);
    println!("{name}, seed {seed}: {tally:?}, unused {:.2} % and {:.2} %", unused[0] * 100.0, unused[1] * 100.0);
    let exports_bind = year.counters[0].total > 20;
    assert_eq!((tally.avoidable, tally.over_share), (0, 0), "{name}, seed {seed}: {tally:?}");
    assert!(
        unused[0] < 0.05 && (unused[1] < 0.05 || !exports_bind),
        "{name}, seed {seed}: {unused:?} unused while work waits"
    );
    assert!(tally.requests > 1_000 && tally.allowed[0] > 500, "{name}, seed {seed}: {tally:?}");
}

#[test]
fn a_year_on_the_smallest_plans() {
    let seed = 20_260_615;
    let phase = Some(StdRng::seed_from_u64(seed).random_range(0..MINUTE));
    let changing = Year { other_plan: 400, ..Year::new(seed, 200, phase, 0.1) };
    check("Team and Growth in turn, fixed, others", seed, YEAR, changing.with(Event::Plan));
    for (name, requests, phase, others) in [
        ("Team, fixed", 200, phase, 0.0),
        ("Team, fixed, many others", 200, phase, 0.4),
        ("Essential, fixed", 10, phase, 0.0),
        ("Essential, fixed, others", 10, phase, 0.1),
        ("Team, sliding", 200, None, 0.0),
        ("Team, sliding, others", 200, None, 0.2),
        ("Essential, sliding", 10, None, 0.0),
    ] {
        let length = if phase.is_none() && others > 0.0 { 3 * MONTH } else { MONTH };
        check(name, seed, length, Year::new(seed, requests, phase, others));
    }
}
