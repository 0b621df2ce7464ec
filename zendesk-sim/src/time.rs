//! Moments of simulated time, kept as whole seconds and written as Zendesk writes them.
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use std::fmt;

/// A moment in whole unix seconds; serialises as `2023-09-18T23:28:11Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

impl Stamp {
    /// Reads an RFC 3339 text.
    pub fn parse(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(at.with_timezone(&Utc).timestamp()))
    }

    /// The moment `seconds` later (or earlier, if negative).
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds)
    }
}

impl fmt::Display for Stamp {
    // By hand, because an export page formats thousands of these.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Days since 1970-01-01 as a Gregorian year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_the_same_moment() {
        for second in [0, 951_782_399, 951_782_400, 1_695_052_663, 4_102_444_800] {
            let text = Stamp(second).to_string();
            assert_eq!(Stamp::parse(&text), Some(Stamp(second)), "{text}");
        }
        assert_eq!(Stamp(1_695_079_691).to_string(), "2023-09-18T23:28:11Z");
    }
}
