//! Roll-out in stages: one record, ten, one in a hundred, all (§d 5 of the notes on peers).

use crate::model::record::digest;

/// The last stage: all records.
pub const ALL: i16 = 4;

/// Records of the first stage, and of the second.
pub const FIRST: [i64; 2] = [1, 10];

/// The stage of a row by chance: one in a hundred is of the third, wherever it stands among the others and whenever it is
/// looked at; the rest of the last. Those of the first two are drawn from all of a run.
pub fn of(row_key: &str) -> i16 {
    if digest(&row_key, 0) % 100 == 0 { 3 } else { ALL }
}

/// Whether a row is among those that an activation which is rolled out so far keeps up to date.
pub fn admits(stage: i16, row_key: &str, delivered: bool) -> bool {
    stage >= ALL || delivered || (stage >= 3 && of(row_key) <= stage)
}

/// The stage after this one.
pub fn next(stage: i16) -> Option<i16> {
    (stage < ALL).then_some(stage.max(0) + 1)
}

/// What a stage has, in words.
pub fn words(stage: i16) -> &'static str {
    match stage {
        i16::MIN..=0 => "nothing",
        1 => "one record",
        2 => "ten more records",
        3 => "one record in a hundred",
        _ => "all records",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_in_a_hundred_is_of_the_third_stage() {
        let third = (0..20_000).filter(|id| of(&format!("person:{id}")) == 3).count();
        assert!((150..250).contains(&third), "{third} of 20,000");
    }

    #[test]
    fn stages_admit_what_was_delivered_and_their_share() {
        let third = (0..).map(|id| format!("person:{id}")).find(|key| of(key) == 3).expect("one");
        let last = (0..).map(|id| format!("person:{id}")).find(|key| of(key) == ALL).expect("one");
        let check = |stage, key: &str, delivered, expected| {
            assert_eq!(admits(stage, key, delivered), expected, "{stage} {key} {delivered}");
        };
        check(1, &third, false, false);
        check(1, &third, true, true);
        check(3, &third, false, true);
        check(3, &last, false, false);
        check(3, &last, true, true);
        check(4, &last, false, true);
    }

    #[test]
    fn stages_follow_one_another() {
        let all: Vec<i16> = std::iter::successors(Some(0), |stage| next(*stage)).collect();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        let said: Vec<&str> = all.into_iter().map(words).collect();
        assert_eq!(said, ["nothing", "one record", "ten more records", "one record in a hundred", "all records"]);
    }
}
