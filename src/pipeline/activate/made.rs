//! What was made of records that a call created: Zendesk leaves out fields that it does not have and says nothing (Z§3), so they are
//! read once, a hundred in a request.

use super::env::forget_fields;
use super::results::{Lost, Result as Outcome};
use crate::db::push_record::Record;
use crate::model::activation::{KeyKind, Target};
use crate::model::push::{Changes, Remote};
use crate::pipeline::context::{Context, FlowError};
use crate::rules::activation::diff::is_custom;
use crate::rules::activation::value::is_empty;
use crate::zendesk::client::Client;
use crate::zendesk::push::{self, Call};
use std::collections::{BTreeSet, HashMap};

/// The fields that created records of a call lack. Where there are some, the account's fields are looked at anew.
///
/// # Errors
/// When Zendesk cannot be read: then nothing is known of the call's records yet.
pub async fn lost(
    ctx: &Context,
    (client, source_id): (&Client, i64),
    call: Call,
    records: &[Record],
    results: &[Option<Outcome>],
) -> Result<Lost, FlowError> {
    let target = match call {
        Call::UsersCreateOrUpdateMany | Call::UserCreateOrUpdate => Target::Users,
        Call::OrganizationsCreateMany | Call::OrganizationCreateOrUpdate => Target::Organizations,
        _ => return Ok(Lost::new()),
    };
    let made = records.iter().zip(results).filter_map(|(record, result)| match result {
        Some(Outcome::Done { id: Some(id), .. }) if record.before.is_none() => Some((id.as_str(), record)),
        _ => None,
    });
    let made: HashMap<&str, &Record> = made.filter(|(_, record)| gives_custom(record)).collect();
    let ids: Vec<String> = made.keys().map(|id| (*id).to_owned()).collect();
    let found = if ids.is_empty() { Vec::new() } else { push::find(client, target, &KeyKind::RecordId, &ids).await? };
    let lost = found.iter().filter_map(|found| {
        let record = made.get(found.value.as_str())?;
        Some((record.seq, missing(record.changes.as_ref()?, &found.remote)))
    });
    let lost: Lost = lost.filter(|(_, fields)| !fields.is_empty()).collect();
    if !lost.is_empty() {
        tracing::warn!(source = source_id, records = lost.len(), "Zendesk created records without all of their fields");
        forget_fields(ctx, source_id);
    }
    Ok(lost)
}

fn gives_custom(record: &Record) -> bool {
    record.changes.iter().flat_map(|changes| changes.values.keys()).any(|name| is_custom(name))
}

/// Custom fields that were given a value and have none, or are not there.
pub fn missing(changes: &Changes, remote: &Remote) -> BTreeSet<String> {
    let given = changes.values.iter().filter(|(name, value)| is_custom(name) && !is_empty(value));
    given.filter(|(name, _)| remote.values.get(*name).is_none_or(is_empty)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_were_given_and_are_not_there_are_missing() {
        let check = |sent: serde_json::Value, has: serde_json::Value, expected: &[&str]| {
            let changes = Changes { values: serde_json::from_value(sent).expect("values"), ..Changes::default() };
            let remote = Remote { values: serde_json::from_value(has).expect("values"), ..Remote::default() };
            assert_eq!(missing(&changes, &remote).into_iter().collect::<Vec<_>>(), expected, "{changes:?} {remote:?}");
        };
        let (tier, name) = ("user_fields.tier", "name");
        check(json!({tier: "gold", name: "Lisa"}), json!({tier: "gold"}), &[]);
        check(json!({tier: "gold", name: "Lisa"}), json!({name: "Lisa"}), &[tier]);
        check(json!({tier: "gold"}), json!({tier: null}), &[tier]);
        check(json!({tier: null}), json!({}), &[]);
        check(json!({tier: false}), json!({tier: false}), &[]);
    }
}
