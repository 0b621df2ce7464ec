//! Is the CDP what the simulated Zendesk is? A comparison, field by field, with its true state.
//!
//! It reads the admin door's own JSON and shares nothing with the daemon's decoders, so that a mistake there cannot hide.
//! What it takes from the daemon are words (`rules::name`, `model::phone`), each tested by itself.

mod activities;
pub mod delivered;
mod findings;
mod people;
mod tickets;
mod truth;

use super::sim::Door;
use crate::pipeline::context::Context;
use delivered::Members;
use findings::Findings;
pub use findings::{CompareError, Difference};
use std::collections::BTreeMap;
use truth::{Ours, Truth};

/// Compares all that a source has brought with the simulated Zendesk behind `door` (`http://127.0.0.1:PORT/_sim`).
///
/// With `members`, what the demo's activation has written of them is compared as well.
///
/// To be asked when everything has arrived: life has stopped, every stream was read past its end, nothing is pending.
///
/// # Errors
/// When one side cannot be read.
pub async fn compare(
    ctx: &Context,
    source_id: i64,
    door: &str,
    members: Option<&Members>,
) -> Result<Vec<Difference>, CompareError> {
    let truth = Truth::read(&Door::new(door)?).await?;
    let ours = Ours::read(ctx, source_id).await?;
    let mut findings = Findings::default();
    people::check(&truth, &ours, &mut findings);
    people::check_agents(&truth, &ours, &mut findings);
    people::check_organizations(&truth, &ours, &mut findings);
    tickets::check(&truth, &ours, &mut findings);
    activities::check(&truth, &ours, &mut findings);
    if let Some(members) = members {
        delivered::check(&truth, &ours, members, &mut findings);
    }
    Ok(findings.found)
}

/// How many differences there are of each field, most first: for a summary.
pub fn by_field(differences: &[Difference]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for difference in differences {
        let kind = difference.record.split(' ').next().unwrap_or_default();
        *counts.entry(format!("{kind} {}", difference.field)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
