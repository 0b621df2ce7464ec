//! How long a first sync takes: the number of its requests, and the plan's requests a minute (Z§2, Z§6).
//!
//! Every export has the same budget of ten requests a minute, so it is the number of pages that counts; what the daemon
//! itself needs for a page is far less than the six seconds between two of them.

use crate::model::stream::Stream;

/// Rows of a page of a plain list.
const LIST_PAGE: u64 = 100;

/// How many there are of what a first sync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Users, the deleted among them: the export tells of all that ever were.
    pub users: u64,
    /// Organizations.
    pub organizations: u64,
    /// Tickets that changed since the first sync's beginning.
    pub tickets: u64,
    /// Their updates since then.
    pub updates: u64,
    /// Of the users, the deleted.
    pub deleted_users: u64,
}

/// A plan of Zendesk's, by what it allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Name.
    pub name: &'static str,
    /// Requests a minute.
    pub requests: u32,
    /// Export requests a minute.
    pub exports: u32,
}

/// The plans (Z§6).
pub const PLANS: [Plan; 6] = [
    Plan { name: "Essential", requests: 10, exports: 10 },
    Plan { name: "Team", requests: 200, exports: 10 },
    Plan { name: "Growth, Professional", requests: 400, exports: 10 },
    Plan { name: "Enterprise", requests: 700, exports: 10 },
    Plan { name: "Enterprise Plus", requests: 2500, exports: 10 },
    Plan { name: "High Volume add-on", requests: 2500, exports: 30 },
];

/// What a stream costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The stream.
    pub stream: Stream,
    /// Records to be read.
    pub rows: u64,
    /// Requests for them.
    pub requests: u64,
    /// Whether they are taken from the exports' budget as well.
    pub export: bool,
}

/// The readings of a first sync, with pages of exports of `page_size` rows. Ratings are far fewer than tickets; their pages
/// are taken for as many as the tickets would have at one rating in ten.
pub fn readings(counts: &Counts, page_size: u64) -> Vec<Reading> {
    let pages = |rows: u64, page: u64| rows.div_ceil(page.max(1)).max(1);
    let export = |stream, rows| Reading { stream, rows, requests: pages(rows, page_size), export: true };
    let list = |stream, rows| Reading { stream, rows, requests: pages(rows, LIST_PAGE), export: false };
    vec![
        export(Stream::Organizations, counts.organizations),
        export(Stream::Users, counts.users),
        export(Stream::Tickets, counts.tickets),
        export(Stream::TicketEvents, counts.updates),
        list(Stream::Satisfaction, counts.tickets / 10),
        list(Stream::DeletedUsers, counts.deleted_users),
    ]
}

/// How long the readings take on a plan, of whose requests `share` is ours (0 to 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duration {
    /// Minutes.
    pub minutes: f64,
    /// Whether the exports' budget is what it waits for, rather than the account's.
    pub exports_bind: bool,
}

/// See [`Duration`].
pub fn duration(readings: &[Reading], plan: Plan, share: f64) -> Duration {
    let all: u64 = readings.iter().map(|reading| reading.requests).sum();
    let exports: u64 = readings.iter().filter(|reading| reading.export).map(|reading| reading.requests).sum();
    let ours = (f64::from(plan.requests) * share).floor().max(1.0);
    // The first minute's requests go out at once, and so on: the last minute takes next to no time.
    let minutes = |requests: u64, each: f64| ((requests as f64 / each).ceil() - 1.0).max(0.0);
    let (by_all, by_exports) = (minutes(all, ours), minutes(exports, f64::from(plan.exports)));
    Duration { minutes: by_all.max(by_exports), exports_bind: by_exports >= by_all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_million_users_and_five_million_tickets() {
        let counts = Counts {
            users: 2_000_000,
            organizations: 10_000,
            tickets: 5_000_000,
            updates: 20_000_000,
            deleted_users: 0,
        };
        let readings = readings(&counts, 1000);
        let requests: Vec<u64> = readings.iter().map(|reading| reading.requests).collect();
        assert_eq!(requests, [10, 2000, 5000, 20_000, 5000, 1]);
        let check = |plan: usize, minutes: f64, exports_bind: bool| {
            assert_eq!(
                duration(&readings, PLANS[plan], 0.8),
                Duration { minutes, exports_bind },
                "{}",
                PLANS[plan].name
            );
        };
        check(0, 4001.0, false); // 32,011 requests, 8 a minute
        check(1, 2700.0, true); // 27,010 exports, 10 a minute
        check(5, 900.0, true);
    }

    #[test]
    fn a_small_account_is_read_at_once() {
        let counts = Counts { users: 200, organizations: 0, tickets: 50, updates: 300, deleted_users: 3 };
        let readings = readings(&counts, 1000);
        assert_eq!(duration(&readings, PLANS[1], 0.8).minutes, 0.0);
    }
}
