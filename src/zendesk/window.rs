//! What is known of one budget of one account, by all processes together: how much was used and when, and how Zendesk
//! counts. Pure: the time is given, and what is decided holds for whoever has the row.
//!
//! Until the opposite is proven, any 60 seconds hold no more than the limit, which is right whichever way Zendesk counts.
//! Proven fixed windows (Z§6: `ratelimit-reset`, `resets=`) are used whole, and never across their ends. A request counts
//! from when its answer came, the latest time at which it can have been counted; one whose answer is awaited always counts.

use serde::{Deserialize, Serialize};

/// A time or a span in milliseconds (since 1970, by the wall clock).
pub type Millis = i64;

/// How long a process may keep what it was granted and has not sent.
pub const GRANT_LASTS: Millis = 5_000;

/// How long after it was sent a request may still be counted although its process says nothing more of it.
const LATE: Millis = 15_000;

/// How often others are looked for who may have given something back.
const NAP: Millis = 1_000;

/// How much longer than a window what was done is remembered: the ends of windows are known to a few seconds only.
const KEPT: Millis = 5_000;

/// Requests that the smallest plan has (Z§6): nothing more is assumed before the first answer.
const SMALLEST: u32 = 10;

/// Nothing that one answer says stops a budget for longer: no window of Zendesk's is (Z§6).
const LONGEST_BLOCK: Millis = 600_000;

/// Zendesk counts no account's requests beyond this (Z§6); a header that says more is a mistake.
const LARGEST_TOTAL: u32 = 100_000;

/// How a budget is to be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Length of the window.
    pub length: Millis,
    /// Its requests, until a header tells.
    pub total: u32,
    /// The share of it that is ours.
    pub share: f64,
    /// The share of ours that is left to what is urgent.
    pub urgent_share: f64,
}

impl Terms {
    /// Whether a total that a header tells can be one. No budget is smaller than the smallest plan's, or than is assumed:
    /// one header that says 0 or 1 by mistake must not stop a source, nor one that says billions let it loose.
    pub fn believes(&self, total: u32) -> bool {
        (self.total.min(SMALLEST)..=LARGEST_TOTAL.max(self.total)).contains(&total)
    }
}

/// What an answer's headers told of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When the request was sent.
    pub sent: Millis,
    /// When the answer came.
    pub answered: Millis,
    /// Requests in a window.
    pub total: Option<u32>,
    /// Requests left in it.
    pub remaining: Option<u32>,
    /// Seconds until the next window.
    pub resets: Option<u32>,
}

/// What a process tells of a budget.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its name.
    pub holder: u64,
    /// Requests that were answered since it told last, by when they count.
    pub done: Vec<(Millis, u32)>,
    /// Requests whose answers it awaits.
    pub in_flight: u32,
    /// What the last answers told, oldest first.
    pub told: Vec<Told>,
    /// It saw that windows are fixed.
    pub is_fixed: bool,
    /// Zendesk refused with 429: stop until then.
    pub refused_until: Option<Millis>,
    /// Its clock jumped: nothing that was noted by time can be relied on.
    pub jumped: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    holder: u64,
    count: u32,
    until: Millis,
}

/// The state of a budget. What a newer version wrote and this one cannot read is begun anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    total: Option<u32>,
    /// Zendesk has answered: if no header told a total, none ever may.
    is_heard: bool,
    done: Vec<(Millis, u32)>,
    held: Vec<Held>,
    /// Requests of others, and when they were seen.
    others: Option<(u32, Millis)>,
    /// A window ends between these two times; so does one every `length` before and after.
    ends: Option<(Millis, Millis)>,
    is_fixed: bool,
    /// Stopped from when until when.
    blocked: Option<(Millis, Millis)>,
}

impl Window {
    /// Requests a window has: as Zendesk tells, or as is assumed.
    pub fn total(&self, terms: &Terms) -> u32 {
        let assumed = if self.is_heard { terms.total } else { terms.total.min(SMALLEST) };
        self.total.filter(|total| terms.believes(*total)).unwrap_or(assumed).clamp(1, LARGEST_TOTAL.max(terms.total))
    }

    /// Whether Zendesk's windows are known to be fixed.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed && self.ends.is_some()
    }

    /// Takes in what a process tells. Answers whether a refusal it tells of was our own doing.
    pub fn take_in(&mut self, terms: &Terms, now: Millis, report: &Report) -> bool {
        self.tidy(terms, now, report.jumped);
        self.held.retain(|held| held.holder != report.holder);
        self.hold(terms, now, report.holder, report.in_flight);
        self.is_heard |= !report.done.is_empty();
        for (at, count) in &report.done {
            self.note(terms, (*at).min(now), *count);
        }
        self.is_fixed |= report.is_fixed;
        if !report.jumped {
            for told in &report.told {
                self.learn(terms, now, told);
            }
        }
        let Some(until) = report.refused_until else { return false };
        let own = self.own(terms, now);
        self.block(now, until);
        // Others spent it; unless windows are not what they seemed: then what is surely right holds until it is proven anew.
        let total = self.total(terms);
        if self.done_since(now - terms.length - KEPT) + self.awaited() >= total {
            self.is_fixed = false;
        }
        own > total
    }

    /// How long it takes until there are requests to be had; none: now.
    pub fn closed_for(&self, terms: &Terms, now: Millis, urgent: bool) -> Option<Millis> {
        let open = self.left(terms, now, urgent) >= 1 && self.blocked_until(now).is_none();
        (!open).then(|| self.wait(terms, now, urgent).max(1))
    }

    /// Grants up to `wanted` requests of a budget that is open, one at least.
    pub fn grant(&mut self, terms: &Terms, now: Millis, holder: u64, wanted: u32, urgent: bool) -> u32 {
        // A tenth of what is left, so that several processes share a window fairly.
        let left = self.left(terms, now, urgent);
        let granted = wanted.clamp(1, (left / 10).max(1) as u32);
        self.hold(terms, now, holder, granted);
        granted
    }

    /// Requests that may be made now; below zero when more were made than may be.
    pub fn left(&self, terms: &Terms, now: Millis, urgent: bool) -> i64 {
        let total = i64::from(self.total(terms));
        let ours = ((total as f64 * terms.share) as i64).max(1);
        let reserve = if urgent { 0 } else { (ours as f64 * terms.urgent_share) as i64 };
        let own = i64::from(self.own(terms, now));
        (ours - reserve - own).min(total - own - i64::from(self.others_in(terms, now)))
    }

    fn block(&mut self, now: Millis, until: Millis) {
        self.blocked = Some((now, until.clamp(now, now + LONGEST_BLOCK).max(self.blocked_until(now).unwrap_or(now))));
    }

    fn blocked_until(&self, now: Millis) -> Option<Millis> {
        let (from, until) = self.blocked?;
        // A clock that was set back makes no stop longer.
        let until = until.min(now.max(from) + LONGEST_BLOCK).min(now + (until - from));
        (until > now).then_some(until)
    }

    fn hold(&mut self, terms: &Terms, now: Millis, holder: u64, count: u32) {
        let until = now + GRANT_LASTS + LATE + terms.length;
        match self.held.iter_mut().find(|held| held.holder == holder) {
            Some(held) => *held = Held { holder, count: held.count + count, until },
            None if count > 0 => self.held.push(Held { holder, count, until }),
            None => {}
        }
    }

    /// Forgets what no longer matters. After a jump of the clock, all is taken to have happened just now.
    fn tidy(&mut self, terms: &Terms, now: Millis, jumped: bool) {
        let longest = GRANT_LASTS + LATE + terms.length;
        if jumped {
            self.done.iter_mut().for_each(|(at, _)| *at = now);
            self.held.iter_mut().for_each(|held| held.until = now + longest);
            self.others = self.others.map(|(count, _)| (count, now));
            self.blocked = self.blocked.map(|(from, until)| (now, now + (until - from)));
            (self.ends, self.is_fixed) = (None, false);
        }
        // What another process noted in our future happened now, by our clock.
        self.done.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
        let margin = self.margin(terms) + KEPT;
        self.done.retain(|(at, _)| *at + terms.length + margin > now);
        self.held.iter_mut().for_each(|held| held.until = held.until.min(now + longest));
        self.held.retain(|held| held.until > now && held.count > 0);
        self.others = self.others.map(|(count, at)| (count, at.min(now))).filter(|(_, at)| at + terms.length > now);
        self.blocked = self.blocked.filter(|_| self.blocked_until(now).is_some());
    }

    /// A little more than the window, for what clocks and the network do to times.
    fn margin(&self, terms: &Terms) -> Millis {
        if self.is_fixed() { (terms.length / 60).clamp(100, 1_000) } else { 100 }
    }

    fn note(&mut self, terms: &Terms, at: Millis, count: u32) {
        // Late rather than early: times are rounded up to a 600th of the window.
        let slot = (terms.length / 600).max(1);
        let at = (at + slot - 1).div_euclid(slot) * slot;
        match self.done.iter_mut().rev().find(|(known, _)| *known == at) {
            Some((_, known)) => *known += count,
            None => {
                self.done.push((at, count));
                self.done.sort_unstable();
            }
        }
    }

    /// The present window by proven fixed ends: when it began at the earliest, and when the next surely has begun.
    fn present(&self, terms: &Terms, now: Millis) -> Option<(Millis, Millis)> {
        let (earliest, latest) = self.ends.filter(|_| self.is_fixed)?;
        let sure = latest + self.margin(terms);
        let passed = (now - sure).div_euclid(terms.length) * terms.length;
        Some((earliest + passed, sure + passed + terms.length))
    }

    /// Requests of ours that count in the present window.
    fn own(&self, terms: &Terms, now: Millis) -> u32 {
        let from = self.counted_from(terms, now);
        self.done_since(from) + self.awaited()
    }

    fn counted_from(&self, terms: &Terms, now: Millis) -> Millis {
        match self.present(terms, now) {
            Some((began, _)) => began,
            None => now - terms.length - self.margin(terms),
        }
    }

    fn done_since(&self, from: Millis) -> u32 {
        self.done.iter().filter(|(at, _)| *at >= from).map(|(_, count)| count).sum()
    }

    /// Requests that processes may be making.
    fn awaited(&self) -> u32 {
        self.held.iter().map(|held| held.count).sum()
    }

    fn others_in(&self, terms: &Terms, now: Millis) -> u32 {
        let from = self.present(terms, now).map_or(now - terms.length, |(began, _)| began);
        self.others.filter(|(_, at)| *at >= from).map_or(0, |(count, _)| count)
    }

    /// How long until there is something to be had.
    fn wait(&self, terms: &Terms, now: Millis, urgent: bool) -> Millis {
        if let Some(until) = self.blocked_until(now) {
            return until - now;
        }
        let mut missing = 1 - self.left(terms, now, urgent);
        let may_be_given_back = i64::from(self.awaited()) >= missing;
        let nap = may_be_given_back.then_some(now + NAP);
        if let Some((_, next)) = self.present(terms, now) {
            return nap.map_or(next, |nap| nap.min(next)) - now;
        }
        let from = self.counted_from(terms, now);
        let mut free_at = None;
        for (at, count) in self.done.iter().filter(|(at, _)| *at >= from) {
            missing -= i64::from(*count);
            if missing <= 0 {
                free_at = Some(*at + terms.length + self.margin(terms) + 1);
                break;
            }
        }
        let forgotten = self.others.map(|(_, at)| at + terms.length);
        free_at.into_iter().chain(forgotten).chain(nap).min().map_or(NAP, |at| at - now)
    }

    /// Learns from headers: the total, what others used, and when windows end.
    fn learn(&mut self, terms: &Terms, now: Millis, told: &Told) {
        if let Some(total) = told.total {
            self.total = Some(total.clamp(1, LARGEST_TOTAL));
        }
        if let Some(resets) = told.resets {
            self.learn_end(terms, told, i64::from(resets) * 1_000);
        }
        let at = told.answered.min(now);
        if let (Some(total), Some(remaining), true) = (told.total, told.remaining, self.is_of_now(terms, now, told)) {
            let used = total.saturating_sub(remaining);
            let others = used.saturating_sub(self.own(terms, now));
            let known = if self.is_fixed() { self.others_in(terms, now) } else { 0 };
            self.others = Some((others.max(known), at)).filter(|(count, _)| *count > 0);
            let own = self.done_since(self.counted_from(terms, now));
            if let (0, Some(resets), true) = (remaining, told.resets, own < total) {
                // How much of it others used is known to a few requests only; that nothing is left is certain.
                self.block(now, told.answered + i64::from(resets) * 1_000 + self.margin(terms));
            }
        }
    }

    /// Whether what was told is of the present window.
    fn is_of_now(&self, terms: &Terms, now: Millis, told: &Told) -> bool {
        let Some((began, next)) = self.present(terms, now) else { return told.answered > now - terms.length };
        let ends = told.resets.map_or(next, |resets| told.answered + i64::from(resets) * 1_000);
        told.answered >= began && (ends - next).abs() < terms.length / 2
    }

    fn learn_end(&mut self, terms: &Terms, told: &Told, resets: Millis) {
        if resets > terms.length {
            return;
        }
        // Seconds may have been rounded either way.
        let seen = (told.sent + resets - 1_000, told.answered + resets + 1_000);
        if seen.1 - seen.0 >= terms.length / 2 {
            return; // too slow an answer to tell anything
        }
        let middle = |(a, b): (Millis, Millis)| (a + b) / 2;
        self.ends = Some(match self.ends {
            None => seen,
            Some(known) => {
                let off = middle(seen) - middle(known) + terms.length / 2;
                let known_here = off.div_euclid(terms.length) * terms.length;
                let known = (known.0 + known_here, known.1 + known_here);
                let both = (known.0.max(seen.0), known.1.min(seen.1));
                match both.1 - both.0 {
                    200.. => both,
                    0.. => known,
                    // They do not agree: Zendesk's windows, or a clock, have moved.
                    _ => (known.0.min(seen.0).max(seen.0 - 2_000), known.1.max(seen.1).min(seen.1 + 2_000)),
                }
            }
        });
    }
}
