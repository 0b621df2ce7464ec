//! Grants: the token pair that an admin granted by browser, and where its renewal stands.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// An access token with what renews it. Stored sealed, as JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The token sent with requests.
    pub access_token: String,
    /// The token that gets the next pair, once.
    pub refresh_token: String,
    /// What it may be used for, as Zendesk told.
    pub scopes: Vec<String>,
    /// When it was granted.
    pub issued_at: DateTime<Utc>,
    /// When the access token ends.
    pub access_expires_at: DateTime<Utc>,
    /// When the refresh token ends.
    pub refresh_expires_at: DateTime<Utc>,
}

impl Pair {
    /// When to renew it: at nine tenths of its life, so that no request meets a token that has just ended.
    pub fn renew_at(&self) -> DateTime<Utc> {
        self.issued_at + (self.access_expires_at - self.issued_at) * 9 / 10
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(***)")
    }
}

/// Where the grant of a source stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The source.
    pub source_id: i64,
    /// Number of the pair.
    pub version: i64,
    /// The pair, sealed.
    pub tokens: Vec<u8>,
    /// When the pair is to be renewed.
    pub renew_at: DateTime<Utc>,
    /// When the access token ends.
    pub access_expires_at: DateTime<Utc>,
    /// When the refresh token ends.
    pub refresh_expires_at: DateTime<Utc>,
    /// Since when Zendesk may have renewed this pair without our knowing.
    pub refreshing_since: Option<DateTime<Utc>>,
    /// Until when a daemon is renewing it.
    pub leased_until: Option<DateTime<Utc>>,
    /// When a renewal that failed is tried again.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Failed renewals in a row.
    pub failures: i32,
    /// Why the last renewal failed.
    pub error: Option<String>,
    /// When Zendesk refused the refresh token for good.
    pub lost_at: Option<DateTime<Utc>>,
    /// When the admin signed in.
    pub granted_at: DateTime<Utc>,
}

/// What may be done about a pair at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Renew it: nobody is at it.
    Free,
    /// Somebody is renewing it.
    Busy,
    /// It failed a moment ago; not yet again.
    Resting,
    /// It cannot be renewed any more.
    Lost,
}

impl Grant {
    /// May the pair be renewed at `now`?
    pub fn renewal(&self, now: DateTime<Utc>) -> Renewal {
        if self.lost_at.is_some() {
            Renewal::Lost
        } else if self.leased_until.is_some_and(|until| until > now) {
            Renewal::Busy
        } else if self.next_try_at.is_some_and(|at| at > now) {
            Renewal::Resting
        } else {
            Renewal::Free
        }
    }

    /// When the refresh token ends, if that is near and renewing does not work: a pair that is renewed in time gets a new
    /// refresh token with it, so a near end alone is no reason to warn.
    pub fn ends_soon(&self, within: Duration, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let overdue = now > self.renew_at + Duration::hours(1);
        (self.lost_at.is_none() && overdue && self.refresh_expires_at - now < within).then_some(self.refresh_expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let at = |day: i64| DateTime::UNIX_EPOCH + Duration::days(day);
        Grant {
            source_id: 1,
            version: 1,
            tokens: Vec::new(),
            renew_at: at(10),
            access_expires_at: at(11),
            refresh_expires_at: at(40),
            refreshing_since: None,
            leased_until: None,
            next_try_at: None,
            failures: 0,
            error: None,
            lost_at: None,
            granted_at: at(9),
        }
    }

    #[test]
    fn one_at_a_time_renews() {
        let now = DateTime::UNIX_EPOCH + Duration::days(10);
        let later = Some(now + Duration::seconds(1));
        let check = |change: fn(&mut Grant, Option<DateTime<Utc>>), expected| {
            let mut grant = grant();
            change(&mut grant, later);
            assert_eq!(grant.renewal(now), expected);
        };
        check(|_, _| {}, Renewal::Free);
        check(|grant, later| grant.leased_until = later, Renewal::Busy);
        check(|grant, later| grant.next_try_at = later, Renewal::Resting);
        check(|grant, later| grant.lost_at = later, Renewal::Lost);
        check(|grant, _| grant.leased_until = Some(DateTime::UNIX_EPOCH), Renewal::Free);
    }

    #[test]
    fn a_near_end_is_told_when_renewing_does_not_work() {
        let week = Duration::days(7);
        let check = |day: i64, expected: bool| {
            let now = DateTime::UNIX_EPOCH + Duration::days(day);
            assert_eq!(grant().ends_soon(week, now).is_some(), expected, "{day}");
        };
        check(9, false);
        check(32, false);
        check(34, true);
        let mut short = grant();
        short.refresh_expires_at = short.renew_at + Duration::days(3);
        assert_eq!(short.ends_soon(week, short.renew_at - Duration::days(1)), None, "it is renewed before");
    }

    #[test]
    fn a_pair_is_renewed_at_nine_tenths_of_its_life_and_prints_nothing() {
        let at = |seconds: i64| DateTime::UNIX_EPOCH + Duration::seconds(seconds);
        let pair = Pair {
            access_token: "hunter2".into(),
            refresh_token: "hunter3".into(),
            scopes: Vec::new(),
            issued_at: at(0),
            access_expires_at: at(172_800),
            refresh_expires_at: at(7_776_000),
        };
        assert_eq!(pair.renew_at(), at(155_520));
        assert_eq!(format!("{pair:?}"), "Pair(***)");
    }
}
