//! The known errors of Zendesk's OpenAPI: one entry each, with what is really served and the evidence.
use serde_json::Value;

/// An error of the document.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    /// The keyword that is wrong, or missing: a JSON pointer into the document.
    pub at: &'static str,
    /// What the document says there, as JSON; empty where it says nothing.
    pub says: &'static str,
    /// What is true, as JSON; empty where nothing should be said.
    pub is: &'static str,
    /// How we know.
    pub evidence: Evidence,
}

/// How we know that the document is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Evidence {
    /// A recorded answer (a file of the recordings), and the value in it that the document forbids.
    Recorded(&'static str, &'static str),
    /// A section of the notes on Zendesk's API, and words that stand in it.
    Noted(&'static str, &'static str),
}

impl Correction {
    /// What is true, as a value.
    pub fn is(&self) -> Option<Value> {
        serde_json::from_str(self.is).ok()
    }

    /// What the document says, as a value.
    pub fn says(&self) -> Option<Value> {
        serde_json::from_str(self.says).ok()
    }

    /// The schema that the keyword belongs to.
    pub fn schema(&self) -> &'static str {
        self.at.rsplit_once('/').map_or("", |(schema, _)| schema)
    }
}

/// The known errors.
pub const CORRECTIONS: &[Correction] = &[];
