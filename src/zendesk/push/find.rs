//! Reading before writing: the records that keys find.

use super::super::client::Client;
use super::super::decode;
use super::super::error::{ApiError, Kind};
use super::super::webhooks::encode;
use super::rows::rows;
use super::sell;
use crate::model::activation::{KeyKind, Target};
use crate::model::email::Email;
use crate::model::push::Remote;
use serde_json::Value;
use std::collections::HashMap;

/// Records asked for in one request (Z§3).
const AT_ONCE: usize = 100;

/// Addresses asked for in one search.
const EMAILS_AT_ONCE: usize = 20;

/// Users whose other addresses are looked at when a search by address finds them.
const MOST_SIMILAR: usize = 5;

/// The longest path of a request for many records, in bytes: what is longer is asked in parts.
const MAX_PATH: usize = 6_000;

/// A record that was found, and the value that found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The value that was asked for, as it was given.
    pub value: String,
    /// The record.
    pub remote: Remote,
}

/// The records of a target that these values find: all matches, checked here again, for searches also answer with what is only
/// similar. Values that find nothing are missing; deleted users are found by their ids only.
pub async fn find(client: &Client, target: Target, by: &KeyKind, values: &[String]) -> Result<Vec<Found>, ApiError> {
    let mut found = Vec::new();
    match (target, by) {
        (Target::SellContacts, _) => {
            let contacts = sell::find(client, by, values).await?;
            found.extend(contacts.into_iter().map(|(value, remote)| Found { value, remote }));
        }
        (_, KeyKind::RecordId) => {
            let (ids, _) = values.iter().cloned().partition::<Vec<_>, _>(|id| is_id(id));
            many(client, target, "ids", &ids, &mut found).await?;
        }
        (_, KeyKind::ExternalId) => external(client, target, values, &mut found).await?,
        (Target::Users, KeyKind::Email) => emails(client, values, &mut found).await?,
        (Target::Organizations, KeyKind::Email) => {
            for name in values {
                let path = format!("/api/v2/organizations/search?name={}", encode(name));
                matching(client, target, by, &path, name, &mut found).await?;
            }
        }
        (_, KeyKind::Field(field)) => {
            for value in values {
                let Some(term) = term(target, field, value) else { continue };
                let path = format!("/api/v2/search?per_page=100&query={}", encode(&term));
                matching(client, target, by, &path, value, &mut found).await?;
            }
        }
    }
    Ok(found)
}

fn is_id(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|id| id > 0)
}

fn list(target: Target) -> &'static str {
    if target == Target::Organizations { "organizations" } else { "users" }
}

/// Asks for many records by ids or external ids.
async fn many(
    client: &Client,
    target: Target,
    parameter: &str,
    values: &[String],
    found: &mut Vec<Found>,
) -> Result<(), ApiError> {
    let list = list(target);
    for values in parts(values) {
        let mut path = format!("/api/v2/{list}/show_many?{parameter}={}", encode(&values.join(",")));
        if target == Target::Users && parameter == "ids" {
            path.push_str("&include_deleted=true");
        }
        let page = rows(client, &path, list).await?;
        let by = if parameter == "ids" { KeyKind::RecordId } else { KeyKind::ExternalId };
        // Each record is looked up by its own value: 100 by 100 comparisons would be many.
        let mut asked: HashMap<String, Vec<&String>> = HashMap::new();
        for value in values {
            asked.entry(value.to_lowercase()).or_default().push(value);
        }
        for remote in page.records.iter().filter_map(|raw| decode::remote(raw, target)) {
            for value in own(&remote, &by).and_then(|own| asked.get(&own.to_lowercase())).into_iter().flatten() {
                found.push(Found { value: (*value).clone(), remote: remote.clone() });
            }
        }
    }
    Ok(())
}

/// At most 100 at once, and no more than a path can hold.
fn parts(values: &[String]) -> Vec<&[String]> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (place, value) in values.iter().enumerate() {
        let more = encode(value).len() + 3;
        if place > start && (place - start >= AT_ONCE || bytes + more > MAX_PATH) {
            parts.push(&values[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += more;
    }
    if start < values.len() {
        parts.push(&values[start..]);
    }
    parts
}

/// External ids stand in a list with commas; those that hold one are asked for alone.
async fn external(client: &Client, target: Target, values: &[String], found: &mut Vec<Found>) -> Result<(), ApiError> {
    let (alone, listed): (Vec<String>, Vec<String>) =
        values.iter().filter(|value| !value.is_empty()).cloned().partition(|value| value.contains(','));
    many(client, target, "external_ids", &listed, found).await?;
    for value in &alone {
        let path = format!("/api/v2/{}/search?external_id={}", list(target), encode(value));
        matching(client, target, &KeyKind::ExternalId, &path, value, found).await?;
    }
    Ok(())
}

/// Several addresses are asked for at once: terms of one property are alternatives. Where an answer does not show that (with two of
/// them found), those that it lacks are asked for alone, and so is what may be somebody's other address.
async fn emails(client: &Client, values: &[String], found: &mut Vec<Found>) -> Result<(), ApiError> {
    for values in values.chunks(EMAILS_AT_ONCE) {
        let terms: Vec<String> = values.iter().filter_map(|value| email_term(value)).collect();
        let before = found.len();
        let page = search_users(client, &terms.join(" ")).await?;
        for remote in &page {
            let own = own(remote, &KeyKind::Email).unwrap_or_default();
            for value in values.iter().filter(|value| is_same(&KeyKind::Email, &own, value)) {
                found.push(Found { value: value.clone(), remote: remote.clone() });
            }
        }
        let answered = &found[before..];
        let is_all = answered.len() > 1 && answered.len() == page.len();
        let is_known = |value: &String| answered.iter().any(|found| found.value == *value);
        let left: Vec<&String> = values.iter().filter(|value| !is_all && !is_known(value)).collect();
        for value in left {
            by_address(client, value, values.len() == 1, &page, found).await?;
        }
    }
    Ok(())
}

/// Who has an address, first or other. What was found by this address alone is not asked for again.
async fn by_address(
    client: &Client,
    value: &str,
    is_asked: bool,
    asked: &[Remote],
    found: &mut Vec<Found>,
) -> Result<(), ApiError> {
    let Some(term) = email_term(value) else { return Ok(()) };
    let remotes = if is_asked { asked.to_vec() } else { search_users(client, &term).await? };
    let of_value =
        |remote: &Remote| own(remote, &KeyKind::Email).is_some_and(|own| is_same(&KeyKind::Email, &own, value));
    for remote in remotes.into_iter().take(MOST_SIMILAR) {
        if of_value(&remote) || has_address(client, &remote.id, value).await? {
            found.push(Found { value: value.to_owned(), remote });
        }
    }
    Ok(())
}

/// Whether an address is among all those of a user.
async fn has_address(client: &Client, user: &str, value: &str) -> Result<bool, ApiError> {
    let path = format!("/api/v2/users/{}/identities?page%5Bsize%5D=100", encode(user));
    let page = match rows(client, &path, "identities").await {
        Ok(page) => page,
        Err(ApiError { kind: Kind::NotFound, .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let addresses = page.records.iter().filter_map(|raw| decode::address(raw));
    Ok(addresses.into_iter().any(|address| is_same(&KeyKind::Email, &address, value)))
}

async fn search_users(client: &Client, query: &str) -> Result<Vec<Remote>, ApiError> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let page = rows(client, &format!("/api/v2/users/search?query={}", encode(query)), "users").await?;
    Ok(page.records.iter().filter_map(|raw| decode::remote(raw, Target::Users)).collect())
}

fn email_term(value: &str) -> Option<String> {
    quoted(value).map(|value| format!("email:{value}"))
}

/// Asks for the records of one value, and keeps those that truly have it.
async fn matching(
    client: &Client,
    target: Target,
    by: &KeyKind,
    path: &str,
    value: &str,
    found: &mut Vec<Found>,
) -> Result<(), ApiError> {
    let wrapper = if path.starts_with("/api/v2/search?") { "results" } else { list(target) };
    let page = rows(client, path, wrapper).await?;
    for remote in page.records.iter().filter_map(|raw| decode::remote(raw, target)) {
        if own(&remote, by).is_some_and(|own| is_same(by, &own, value)) {
            found.push(Found { value: value.to_owned(), remote });
        }
    }
    Ok(())
}

/// What of a record is compared with a key.
fn own(remote: &Remote, by: &KeyKind) -> Option<String> {
    let name = match by {
        KeyKind::RecordId => return Some(remote.id.clone()),
        KeyKind::ExternalId => "external_id",
        KeyKind::Email if remote.values.contains_key("email") => "email",
        KeyKind::Email => "name",
        KeyKind::Field(name) => name,
    };
    match remote.values.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn is_same(by: &KeyKind, own: &str, value: &str) -> bool {
    match (by, Email::parse(own), Email::parse(value)) {
        (KeyKind::Email, Ok(own), Ok(value)) => own.key() == value.key(),
        (KeyKind::Field(_), ..) => own == value,
        _ => own.trim().to_lowercase() == value.trim().to_lowercase(),
    }
}

/// The query that finds records by a custom field. None where the value cannot be asked for.
fn term(target: Target, field: &str, value: &str) -> Option<String> {
    let key = field.strip_prefix(target.custom_prefix())?.strip_prefix('.')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let kind = if target == Target::Organizations { "organization" } else { "user" };
    is_key.then_some(())?;
    Some(format!("type:{kind} {key}:{}", quoted(value)?))
}

/// A value in quotes that it cannot break out of: quotes and backslashes have no way of being written in a search, so what holds
/// one is asked for with a space in their place, and what is found is compared as a whole.
fn quoted(value: &str) -> Option<String> {
    let plain: String = value.chars().map(|c| if c == '"' || c == '\\' || c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    (!plain.is_empty() && plain.chars().count() <= 255).then(|| format!("\"{plain}\""))
}
