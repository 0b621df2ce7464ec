//! How the incremental exports end.
use serde::Deserialize;

/// The section `exports`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exports {
    /// What a stream's last page looks like.
    pub end: StreamEnd,
}

/// What a stream's last page looks like. One with rows carries the way on, as recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamEnd {
    /// An empty page by cursor has nulls or repeats its cursor, changing with the second; one by time has nulls.
    #[default]
    Either,
    /// An empty page has null for its cursor, `next_page` and `end_time`, as recorded.
    Nulls,
    /// An empty page repeats the cursor or time that it was asked with.
    Repeat,
    /// No page by time says `end_of_stream`, as in older documents: the end is a page that is not full.
    Unsaid,
    /// The last page by cursor that has rows says that there is more; an empty one with nulls follows it.
    Late,
}
