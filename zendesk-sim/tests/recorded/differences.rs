//! Where recordings and simulation differ, one by one, with the reason. A test holds the lists: an entry that is not
//! needed fails, and so does a reason that the years of the recordings belie.

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Only in recordings from before 2022: today's Zendesk does not write it.
    Old,
    /// Only in files that someone edited before publishing them.
    Edited,
    /// Of a part of Zendesk that the simulation does not have.
    Outside,
    /// A value that an account of the simulation's kind never has.
    Data,
}

/// One difference: record, path and type, where a trailing `*` stands for anything.
#[derive(Debug)]
pub struct Difference {
    pub why: Why,
    record: &'static str,
    path: &'static str,
    kind: &'static str,
    _words: &'static str,
}

const fn is(why: Why, record: &'static str, path: &'static str, kind: &'static str, words: &'static str) -> Difference {
    Difference { why, record, path, kind, _words: words }
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start))
}

impl Difference {
    /// Whether this entry speaks of that key and type.
    pub fn covers(&self, record: &str, path: &str, kind: &str) -> bool {
        matches(self.record, record) && matches(self.path, path) && matches(self.kind, kind)
    }
}

/// What recordings have and the simulation does not serve.
pub const RECORDED_ONLY: &[Difference] = &[];

/// What the simulation serves and neither recordings nor Zendesk's examples have.
pub const BEYOND: &[Difference] = &[];
