//! How long activities are kept (R1–R11): the horizon of a type, the first sync, and what partition may go.

use crate::model::retention::{DEFAULT_DAYS, Group, Keep, Retention};
use chrono::{DateTime, Days, Utc};

/// How long activities of this type are kept (R1, R3).
pub fn keep_for(retention: &Retention, activity_type: &str) -> Keep {
    let group = Group::of(activity_type).map(Group::as_str);
    let listed = |entry: &String| entry == activity_type || Some(entry.as_str()) == group;
    match retention.extended {
        Some(extended) if retention.activity_types.iter().any(listed) => extended.max(retention.default),
        _ => retention.default,
    }
}

/// R11: activities of this type that occurred before this are expired; none if they are kept forever.
pub fn horizon(now: DateTime<Utc>, retention: &Retention, activity_type: &str) -> Option<DateTime<Utc>> {
    cut_off(now, keep_for(retention, activity_type))
}

/// The longest that anything of this source is kept.
pub fn widest(retention: &Retention) -> Keep {
    match retention.extended {
        Some(extended) if !retention.activity_types.is_empty() => extended.max(retention.default),
        _ => retention.default,
    }
}

/// R9: how far back a first sync goes: 90 days, or as long as anything is kept; forever is from 1970 on.
pub fn first_sync_since(now: DateTime<Utc>, retention: &Retention) -> DateTime<Utc> {
    cut_off(now, widest(retention).max(Keep::Days(DEFAULT_DAYS))).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Whether a whole partition may be dropped: `month_end` (its first instant no more) is not after any horizon.
/// `horizons` are those of every source and type that may have a row in it; with none known, nothing is dropped.
pub fn partition_expired(month_end: DateTime<Utc>, horizons: impl IntoIterator<Item = Option<DateTime<Utc>>>) -> bool {
    let mut horizons = horizons.into_iter().peekable();
    horizons.peek().is_some() && horizons.all(|horizon| horizon.is_some_and(|horizon| month_end <= horizon))
}

/// Whole days of 24 hours before `now`; none if that is forever, or before the calendar begins.
fn cut_off(now: DateTime<Utc>, keep: Keep) -> Option<DateTime<Utc>> {
    match keep {
        Keep::Days(days) => now.checked_sub_days(Days::new(u64::from(days.max(1)))),
        Keep::Forever => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn retention(default: Keep, extended: Option<Keep>, types: &[&str]) -> Retention {
        let activity_types = types.iter().map(|text| (*text).to_owned()).collect();
        Retention { default, extended, activity_types }
    }

    #[test]
    fn keep_reads_days_or_forever_r4() {
        for (json, expected) in [
            ("90", Some(Keep::Days(90))),
            ("1", Some(Keep::Days(1))),
            ("\"365\"", Some(Keep::Days(365))),
            ("\"forever\"", Some(Keep::Forever)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("\"ever\"", None),
            ("null", None),
        ] {
            assert_eq!(serde_json::from_str::<Keep>(json).ok(), expected, "{json}");
        }
        for keep in [Keep::Days(7), Keep::Forever] {
            let json = serde_json::to_string(&keep).expect("a word or a number");
            assert_eq!(serde_json::from_str::<Keep>(&json).ok(), Some(keep));
        }
        assert!(Keep::Days(u32::MAX) < Keep::Forever);
        assert_eq!(serde_json::from_str::<Retention>("{}").ok(), Some(Retention::default()));
    }

    #[test]
    fn groups_stand_for_types_a9() {
        for (activity_type, expected) in [
            ("zd.ticket.created", Some(Group::Tickets)),
            ("zd.ticket.comment_added", Some(Group::Comments)),
            ("zd.satisfaction.rated", Some(Group::Satisfaction)),
            ("zd.user.email_changed", Some(Group::UserChanges)),
            ("zd.organization.created", None),
            ("custom.ticket.created", None),
            ("zd.ticket", None),
        ] {
            assert_eq!(Group::of(activity_type), expected, "{activity_type}");
        }
        assert!(Group::ALL.into_iter().all(|group| Group::parse(group.as_str()) == Some(group)));
    }

    #[test]
    fn each_type_has_its_horizon_r1_r3_r11() {
        let long = Some(Keep::Days(365));
        for (types, extended, activity_type, expected) in [
            (&[][..], None, "zd.ticket.created", "2026-01-30T12:00:00Z"),
            (&["tickets"], None, "zd.ticket.created", "2026-01-30T12:00:00Z"),
            (&["tickets"], long, "zd.ticket.created", "2025-04-30T12:00:00Z"),
            (&["tickets"], long, "zd.ticket.comment_added", "2026-01-30T12:00:00Z"),
            (&["comments"], long, "zd.ticket.comment_added", "2025-04-30T12:00:00Z"),
            (&["zd.ticket.solved"], long, "zd.ticket.solved", "2025-04-30T12:00:00Z"),
            (&["zd.ticket.solved"], long, "zd.ticket.created", "2026-01-30T12:00:00Z"),
            (&["tickets"], Some(Keep::Days(30)), "zd.ticket.created", "2026-01-30T12:00:00Z"),
            (&["tickets"], Some(Keep::Forever), "zd.ticket.created", "forever"),
        ] {
            let retention = retention(Keep::Days(90), extended, types);
            let found = horizon(at("2026-04-30T12:00:00Z"), &retention, activity_type);
            let expected = (expected != "forever").then(|| at(expected));
            assert_eq!(found, expected, "{types:?} {extended:?} {activity_type}");
        }
        let endless = retention(Keep::Days(u32::MAX), None, &[]);
        assert_eq!(horizon(at("2026-04-30T12:00:00Z"), &endless, "zd.ticket.created"), None);
    }

    #[test]
    fn the_first_sync_fetches_what_will_be_kept_r9() {
        for (default, extended, types, expected) in [
            (Keep::Days(90), None, &[][..], "2026-01-30T12:00:00Z"),
            (Keep::Days(7), None, &[], "2026-01-30T12:00:00Z"),
            (Keep::Days(7), Some(Keep::Days(365)), &["comments"], "2025-04-30T12:00:00Z"),
            (Keep::Days(7), Some(Keep::Days(365)), &[], "2026-01-30T12:00:00Z"),
            (Keep::Days(90), Some(Keep::Forever), &["tickets"], "1970-01-01T00:00:00Z"),
            (Keep::Forever, None, &[], "1970-01-01T00:00:00Z"),
        ] {
            let retention = retention(default, extended, types);
            assert_eq!(first_sync_since(at("2026-04-30T12:00:00Z"), &retention), at(expected), "{retention:?}");
        }
    }

    #[test]
    fn a_partition_goes_only_when_all_of_it_expired_r11() {
        let month_end = at("2026-02-01T00:00:00Z");
        let (before, same, after) = (at("2026-01-31T23:59:59Z"), month_end, at("2026-03-01T00:00:00Z"));
        for (horizons, expected) in [
            (&[Some(same)][..], true),
            (&[Some(after), Some(same)], true),
            (&[Some(after), Some(before)], false),
            (&[Some(after), None], false),
            (&[], false),
        ] {
            assert_eq!(partition_expired(month_end, horizons.iter().copied()), expected, "{horizons:?}");
        }
    }

    proptest! {
        #[test]
        fn widest_covers_every_type(default in 1..2000u32, extended in any::<Option<u32>>(), listed in 0..4usize) {
            let extended = extended.map(|days| if days == 0 { Keep::Forever } else { Keep::Days(days) });
            let retention = retention(Keep::Days(default), extended, &[Group::ALL[listed].as_str()]);
            for activity_type in ["zd.ticket.created", "zd.ticket.comment_added", "zd.satisfaction.x", "zd.user.x"] {
                let keep = keep_for(&retention, activity_type);
                prop_assert!(Keep::Days(default) <= keep && keep <= widest(&retention));
            }
        }
    }
}
