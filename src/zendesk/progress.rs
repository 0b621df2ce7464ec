//! Whether a reading comes on: page after page must bring something new, or it is ended. Pure.
//!
//! Zendesk's pages may be endless by mistake: a cursor that comes again, two that lead to one another, the same rows under
//! ever new cursors, no rows under ever new cursors. Each of them is found here; none of them is followed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Pages without a row that are followed in a row.
const EMPTY_PAGES: usize = 20;

/// Pages of one reading, far above the largest account: what is remembered of them stays below 40 MB.
const MOST_PAGES: usize = 1_000_000;

/// Why a reading does not come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standstill {
    /// A cursor that was given before in this reading, or that was asked with.
    Cursor,
    /// The rows of an earlier page.
    Rows,
    /// One page without rows after another.
    Empty,
    /// More to come, and nothing that leads there.
    NoCursor,
    /// More pages than any account has.
    Endless,
}

impl Standstill {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Standstill::Cursor => "Zendesk answered the same cursor again",
            Standstill::Rows => "Zendesk answered the same records again under another cursor",
            Standstill::Empty => "Zendesk answered one page without records after another",
            Standstill::NoCursor => "Zendesk says that there is more and gives no usable cursor",
            Standstill::Endless => "Zendesk answered more pages than any account has",
        }
    }
}

/// What was seen of the pages of one reading.
#[derive(Debug, Default)]
pub struct Progress {
    cursors: HashSet<u64>,
    rows: HashSet<u64>,
    empty: usize,
}

impl Progress {
    /// A reading that begins at a cursor.
    pub fn from(cursor: Option<&str>) -> Progress {
        let cursors = cursor.map(digest).into_iter().collect();
        Progress { cursors, ..Progress::default() }
    }

    /// Takes note of a page that is not the last: its next cursor and its rows.
    ///
    /// # Errors
    /// When it brings the reading no further.
    pub fn step<R: Hash>(&mut self, cursor: Option<&str>, rows: &[R]) -> Result<(), Standstill> {
        let Some(cursor) = cursor else { return Err(Standstill::NoCursor) };
        if !self.cursors.insert(digest(cursor)) {
            return Err(Standstill::Cursor);
        }
        self.empty = if rows.is_empty() { self.empty + 1 } else { 0 };
        if self.empty > EMPTY_PAGES {
            return Err(Standstill::Empty);
        }
        if !rows.is_empty() && !self.rows.insert(digest(rows)) {
            return Err(Standstill::Rows);
        }
        if self.cursors.len() > MOST_PAGES { Err(Standstill::Endless) } else { Ok(()) }
    }
}

/// A number that stands for a value, in this process.
pub fn digest(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Steps through pages of `(cursor, rows)`: how many are followed, and why no more.
    fn check(pages: &[(&str, &[u8])], expected: (usize, Option<Standstill>)) {
        let mut progress = Progress::from(Some("start"));
        let mut followed = 0;
        let mut why = None;
        for (cursor, rows) in pages {
            match progress.step(Some(cursor).filter(|cursor| !cursor.is_empty()).copied(), rows) {
                Ok(()) => followed += 1,
                Err(standstill) => {
                    why = Some(standstill);
                    break;
                }
            }
        }
        assert_eq!((followed, why), expected, "{pages:?}");
    }

    #[test]
    fn each_circle_is_found() {
        check(&[("a", &[1]), ("b", &[2]), ("c", &[3])], (3, None));
        check(&[("start", &[1])], (0, Some(Standstill::Cursor)));
        check(&[("a", &[1]), ("a", &[2])], (1, Some(Standstill::Cursor)));
        check(&[("a", &[1]), ("b", &[2]), ("a", &[3])], (2, Some(Standstill::Cursor)));
        check(&[("a", &[1]), ("b", &[1])], (1, Some(Standstill::Rows)));
        check(&[("a", &[1]), ("", &[2])], (1, Some(Standstill::NoCursor)));
        let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        let empty: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        check(&empty, (EMPTY_PAGES, Some(Standstill::Empty)));
    }

    proptest! {
        /// Whatever a server with few cursors and few pages answers: there are only so many steps.
        #[test]
        fn no_reading_is_endless(pages in proptest::collection::vec((0_u8..20, proptest::collection::vec(0_u8..3, 0..3)), 500)) {
            let mut progress = Progress::from(None);
            let followed = pages
                .iter()
                .take_while(|(cursor, rows)| progress.step(Some(&cursor.to_string()), rows).is_ok())
                .count();
            prop_assert!(followed <= 20, "{} pages were followed", followed);
        }
    }
}
