//! How a row meets its record, for the adoption report of a first sync (§d 21 of the notes on peers).

use crate::model::push::RecordState;

/// How a row and a record meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The CDP knows that the record stands for the row.
    Exact,
    /// The key found the record.
    ByKey,
    /// Several records, or several rows for one record.
    Ambiguous,
    /// A row without a record.
    OnlyHere,
    /// A record without a row.
    OnlyThere,
    /// A row that could not be looked for.
    Unclear,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Kind; 6] =
        [Kind::Exact, Kind::ByKey, Kind::Ambiguous, Kind::OnlyHere, Kind::OnlyThere, Kind::Unclear];

    /// Its name in JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Exact => "exact",
            Kind::ByKey => "by_key",
            Kind::Ambiguous => "ambiguous",
            Kind::OnlyHere => "only_here",
            Kind::OnlyThere => "only_there",
            Kind::Unclear => "unclear",
        }
    }

    /// What it means.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Exact => "the record is known to stand for the row",
            Kind::ByKey => "the key found the record",
            Kind::Ambiguous => "several records for the row, or several rows for the record: none is written",
            Kind::OnlyHere => "Zendesk has no such record",
            Kind::OnlyThere => "end users in Zendesk for whom there is no row",
            Kind::Unclear => "the row has a fault, so that its record was not looked for",
        }
    }

    /// How a row met its record: by what became of it so far, the class of its fault, whether a record was found, and whether that was
    /// known to be its own.
    pub fn of(state: &str, class: Option<&str>, found: bool, known: bool) -> Kind {
        let is_new = state == RecordState::Created.as_str();
        let may_come = [RecordState::Planned, RecordState::Read, RecordState::Sent, RecordState::Unknown]
            .iter()
            .any(|open| open.as_str() == state);
        match class {
            Some("ambiguous" | "duplicate_record" | "duplicate_key") => Kind::Ambiguous,
            Some("not_in_zendesk" | "deleted") => Kind::OnlyHere,
            _ if is_new => Kind::OnlyHere,
            _ if found && known => Kind::Exact,
            _ if found => Kind::ByKey,
            _ if may_come => Kind::OnlyHere,
            _ => Kind::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_kind() {
        for (state, class, found, known, expected) in [
            ("read", None, true, true, Kind::Exact),
            ("unchanged", None, true, true, Kind::Exact),
            ("failed", Some("agent"), true, true, Kind::Exact),
            ("updated", None, true, false, Kind::ByKey),
            ("failed", Some("ambiguous"), false, false, Kind::Ambiguous),
            ("failed", Some("duplicate_record"), true, true, Kind::Ambiguous),
            ("skipped", Some("not_in_zendesk"), false, false, Kind::OnlyHere),
            ("skipped", Some("deleted"), true, true, Kind::OnlyHere),
            ("read", None, false, false, Kind::OnlyHere),
            ("created", None, true, true, Kind::OnlyHere),
            ("failed", Some("no_key"), false, false, Kind::Unclear),
            ("failed", Some("option"), true, true, Kind::Exact),
        ] {
            assert_eq!(Kind::of(state, class, found, known), expected, "{state} {class:?} {found} {known}");
        }
    }
}
