//! What is sent: items into the JSON of each call. Pure.

use super::call::{Call, Item, MAX_ITEMS, Refusal};
use crate::model::activation::{KeyKind, Target};
use crate::model::push::Fault;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The largest body of several items, in bytes. Zendesk names no limit; what it refuses with 413 is halved by the caller, and what
/// is larger than this is not even tried.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// What may be written of users besides custom fields. Never role, verified, suspended; nor the organization, which replaces all
/// memberships (Z§3).
pub(super) const OF_USERS: &[&str] =
    &["name", "email", "external_id", "phone", "alias", "details", "notes", "locale", "time_zone"];

/// What may be written of organizations besides custom fields.
pub(super) const OF_ORGANIZATIONS: &[&str] = &["name", "external_id", "details", "notes"];

/// A request as it is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

/// The request of a call.
pub(super) fn request(call: Call, items: &[Item]) -> Result<Request, Refusal> {
    let most = if call.is_bulk() { MAX_ITEMS } else { 1 };
    if items.is_empty() || items.len() > most {
        return Err(shape(format!("{} takes 1 to {most} records, not {}", call.as_str(), items.len())));
    }
    let all = |each: fn(&Item) -> Result<Value, Refusal>| items.iter().map(each).collect::<Result<Vec<_>, _>>();
    let post = |path: &str, body: Value| (Method::POST, path.to_owned(), Some(body));
    let put = |path: &str, body: Value| (Method::PUT, path.to_owned(), Some(body));
    let (method, path, body) = match call {
        Call::UsersUpdateMany => put("/api/v2/users/update_many", json!({ "users": all(known_user)? })),
        Call::UsersCreateOrUpdateMany => {
            post("/api/v2/users/create_or_update_many", json!({ "users": all(new_user)? }))
        }
        Call::UserCreateOrUpdate => post("/api/v2/users/create_or_update", json!({ "user": new_user(&items[0])? })),
        Call::UserUpdate => {
            put(&format!("/api/v2/users/{}", id(&items[0])?), json!({ "user": user(&items[0], Map::new())? }))
        }
        Call::OrganizationsUpdateMany => {
            put("/api/v2/organizations/update_many", json!({ "organizations": all(known_organization)? }))
        }
        Call::OrganizationsCreateMany => {
            post("/api/v2/organizations/create_many", json!({ "organizations": all(new_organization)? }))
        }
        Call::OrganizationCreateOrUpdate => {
            post("/api/v2/organizations/create_or_update", json!({ "organization": organization(&items[0])? }))
        }
        Call::MembershipsCreateMany => post(
            "/api/v2/organization_memberships/create_many",
            json!({ "organization_memberships": all(membership)? }),
        ),
        Call::MembershipsDestroyMany => {
            let ids = items.iter().map(|item| Ok(id(item)?.to_string())).collect::<Result<Vec<_>, Refusal>>()?;
            let path = format!("/api/v2/organization_memberships/destroy_many?ids={}", ids.join(","));
            (Method::DELETE, path, None)
        }
        Call::SellUpsert => return Err(shape("a contact of Zendesk Sell is none of Support's records".to_owned())),
    };
    // A single record of any size is Zendesk's to judge: it cannot be halved.
    if items.len() > 1 && body.as_ref().is_some_and(|body| body.to_string().len() > MAX_BYTES) {
        return Err(Refusal::TooLarge);
    }
    Ok(Request { method, path, body })
}

fn shape(words: String) -> Refusal {
    Refusal::Invalid(Fault::new("call", words))
}

/// Ids are numbers on the wire.
fn number(text: &str) -> Result<i64, Refusal> {
    let number = text.parse().ok().filter(|number: &i64| *number > 0);
    number.ok_or_else(|| shape("an id is not one of Zendesk's: a whole number".to_owned()))
}

fn id(item: &Item) -> Result<i64, Refusal> {
    number(item.id.as_deref().ok_or_else(|| shape("the record has no id".to_owned()))?)
}

fn known_user(item: &Item) -> Result<Value, Refusal> {
    user(item, Map::from_iter([("id".to_owned(), id(item)?.into())]))
}

fn new_user(item: &Item) -> Result<Value, Refusal> {
    user(item, Map::from_iter([keyed(item, "email")?]))
}

fn known_organization(item: &Item) -> Result<Value, Refusal> {
    record(item, Target::Organizations, Map::from_iter([("id".to_owned(), id(item)?.into())]))
}

/// A new organization is found by nothing: its key, where it has one, is one of its values.
fn new_organization(item: &Item) -> Result<Value, Refusal> {
    let key = item.key.as_ref().map(|_| keyed(item, "name")).transpose()?;
    record(item, Target::Organizations, key.into_iter().collect())
}

fn organization(item: &Item) -> Result<Value, Refusal> {
    if item.id.is_some() { known_organization(item) } else { new_organization(item) }
}

/// The field that finds a record, or is given to the one that is made; what an address is of users, the name is of organizations.
fn keyed(item: &Item, email: &str) -> Result<(String, Value), Refusal> {
    match &item.key {
        Some((KeyKind::ExternalId, value)) => Ok(("external_id".to_owned(), value.as_str().into())),
        Some((KeyKind::Email, value)) => Ok((email.to_owned(), value.as_str().into())),
        Some((KeyKind::RecordId | KeyKind::Field(_), _)) => {
            Err(shape("Zendesk finds records by e-mail or external id only; this one needs its id".to_owned()))
        }
        None => Err(shape("nothing finds the record".to_owned())),
    }
}

fn user(item: &Item, head: Map<String, Value>) -> Result<Value, Refusal> {
    let may_create = !head.contains_key("id") && item.id.is_none();
    let mut user = record(item, Target::Users, head)?;
    if may_create || user.get("email").is_some() {
        // Nobody is written to because of us.
        user["skip_verify_email"] = true.into();
    }
    Ok(user)
}

fn membership(item: &Item) -> Result<Value, Refusal> {
    let mut joined = item.changes.join.iter();
    match (joined.next(), joined.next()) {
        (Some(organization), None) => Ok(json!({"user_id": id(item)?, "organization_id": number(organization)?})),
        _ => Err(shape("a membership has one organization".to_owned())),
    }
}

/// A record: what finds it and what changes. A key wins over a value of the same name.
fn record(item: &Item, target: Target, head: Map<String, Value>) -> Result<Value, Refusal> {
    let (prefix, writable) = match target {
        Target::Organizations => (target.custom_prefix(), OF_ORGANIZATIONS),
        _ => (target.custom_prefix(), OF_USERS),
    };
    let (mut record, mut custom) = (head, Map::new());
    for (name, value) in &item.changes.values {
        match name.split_once('.') {
            Some((before, key)) if before == prefix && !key.is_empty() => {
                custom.insert(key.to_owned(), value.clone());
            }
            None if writable.contains(&name.as_str()) => {
                record.entry(name.clone()).or_insert_with(|| value.clone());
            }
            _ => return Err(Refusal::Invalid(Fault::of(name, "not_writable", "Deskbridge never writes this field"))),
        }
    }
    if !custom.is_empty() {
        record.insert(prefix.to_owned(), custom.into());
    }
    if !(item.changes.add_tags.is_empty() && item.changes.remove_tags.is_empty()) {
        record.insert("tags".to_owned(), json!(item.tags));
    }
    Ok(record.into())
}
