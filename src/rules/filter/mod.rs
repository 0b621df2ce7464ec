//! Filters over people: reading them, what they need, and deciding them for one person.

pub mod evaluate;
mod ortto;
pub mod read;
mod readable;
#[cfg(test)]
mod reading;
mod words;

use crate::model::filter::Filter;
pub use read::FilterError;
use serde_json::Value;

/// Reads a filter, in whichever grammar it is written.
pub fn read(value: &Value) -> Result<Filter, FilterError> {
    match ortto::is_ortto(value) {
        true => ortto::read(value),
        false => readable::read(value),
    }
}
