//! Contacts of Zendesk Sell, by its own API on its own address (Z§9), as Adobe's destination writes them: found by e-mail.

use super::super::client::Client;
use super::super::decode::{self, JobRow};
use super::super::error::{ApiError, Kind};
use super::super::webhooks::encode;
use super::super::written::Written;
use super::body::Request;
use super::call::{Item, Refusal};
use super::rows::rows;
use crate::model::activation::{KeyKind, Target};
use crate::model::email::Email;
use crate::model::push::{ANY_FIELD, Fault, Remote, TargetField};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Contacts asked for in one request.
const AT_ONCE: usize = 100;

/// Texts of a contact that may be written, and the kinds that activations know them by.
const FIELDS: [(&str, &str); 22] = [
    ("name", "text"),
    ("first_name", "text"),
    ("last_name", "text"),
    ("title", "text"),
    ("description", "textarea"),
    ("industry", "text"),
    ("website", "text"),
    ("email", "email"),
    ("phone", "phone"),
    ("mobile", "phone"),
    ("fax", "phone"),
    ("twitter", "text"),
    ("facebook", "text"),
    ("linkedin", "text"),
    ("skype", "text"),
    ("address.line1", "text"),
    ("address.city", "text"),
    ("address.postal_code", "text"),
    ("address.state", "text"),
    ("address.country", "text"),
    ("customer_status", "dropdown"),
    ("prospect_status", "dropdown"),
];

/// Fields of contacts: those that every account has, and the custom ones. Sell's reference does not list the endpoint of the latter, which
/// public clients of Sell use: of an account without it nobody can tell which custom ones it has.
pub(super) async fn fields(client: &Client) -> Result<Vec<TargetField>, ApiError> {
    let mut fields: Vec<TargetField> = FIELDS.iter().map(|(name, kind)| field(name, kind)).collect();
    match rows(client, "/v2/contact/custom_fields", "items").await {
        Ok(page) => fields.extend(page.records.iter().filter_map(|raw| decode::contact_field(raw))),
        Err(ApiError { kind: Kind::NotFound | Kind::Forbidden(_), .. }) => {
            let prefix = Target::SellContacts.custom_prefix();
            fields.push(TargetField::unknown(format!("{prefix}.{ANY_FIELD}")));
        }
        Err(error) => return Err(error),
    }
    Ok(fields)
}

fn field(name: &str, kind: &str) -> TargetField {
    let options: &[&str] = match name {
        "customer_status" => &["none", "current", "past"],
        "prospect_status" => &["none", "current", "lost"],
        _ => &[],
    };
    TargetField {
        name: name.to_owned(),
        kind: kind.to_owned(),
        active: true,
        options: options.iter().map(ToString::to_string).collect(),
        pattern: None,
        max_chars: None,
    }
}

/// The contacts that these values find, each with its value: all matches. By other keys than id and e-mail Sell's contacts are not found.
pub(super) async fn find(client: &Client, by: &KeyKind, values: &[String]) -> Result<Vec<(String, Remote)>, ApiError> {
    let mut found = Vec::new();
    match by {
        KeyKind::RecordId => {
            let ids: Vec<&String> = values.iter().filter(|id| id.parse::<i64>().is_ok_and(|id| id > 0)).collect();
            for ids in ids.chunks(AT_ONCE) {
                let list = ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(",");
                let contacts = contacts(client, &format!("ids={}", encode(&list))).await?;
                let asked = contacts.into_iter().filter(|contact| ids.contains(&&contact.id));
                found.extend(asked.map(|contact| (contact.id.clone(), contact)));
            }
        }
        KeyKind::Email => {
            for value in values {
                let contacts = contacts(client, &format!("email={}", encode(value))).await?;
                let own = contacts.into_iter().filter(|contact| has_email(contact, value));
                found.extend(own.map(|contact| (value.clone(), contact)));
            }
        }
        KeyKind::ExternalId | KeyKind::Field(_) => {}
    }
    Ok(found)
}

async fn contacts(client: &Client, filter: &str) -> Result<Vec<Remote>, ApiError> {
    let page = rows(client, &format!("/v2/contacts?per_page={AT_ONCE}&{filter}"), "items").await?;
    Ok(page.records.iter().filter_map(|raw| decode::contact(raw)).collect())
}

/// Whether the filter was heeded: a contact with another address is none of ours.
fn has_email(contact: &Remote, wanted: &str) -> bool {
    let own = contact.values.get("email").and_then(Value::as_str).unwrap_or_default();
    match (Email::parse(own), Email::parse(wanted)) {
        (Ok(own), Ok(wanted)) => own.key() == wanted.key(),
        _ => own.to_lowercase() == wanted.to_lowercase(),
    }
}

/// The request that writes one contact: by its id where that is known, which never makes one; by its e-mail otherwise.
pub(super) fn request(items: &[Item]) -> Result<Request, Refusal> {
    let [item] = items else { return Err(shape("Sell takes one contact at a time")) };
    let mut data = data(item)?;
    if let Some(id) = &item.id {
        let id = id.parse().ok().filter(|id: &i64| *id > 0).ok_or_else(|| shape("an id is no whole number"))?;
        let body = Some(json!({ "data": data }));
        return Ok(Request { method: Method::PUT, path: format!("/v2/contacts/{id}"), body });
    }
    let Some((KeyKind::Email, email)) = &item.key else {
        return Err(shape("contacts of Zendesk Sell are found by e-mail only"));
    };
    if data.get("last_name").and_then(Value::as_str).is_none_or(|name| name.trim().is_empty()) {
        let words = "Zendesk Sell asks a last name of every new contact";
        return Err(Refusal::Invalid(Fault::of("last_name", "required_missing", words)));
    }
    data.entry("email").or_insert_with(|| email.as_str().into());
    let path = format!("/v2/contacts/upsert?email={}", encode(email));
    Ok(Request { method: Method::POST, path, body: Some(json!({ "data": data })) })
}

fn data(item: &Item) -> Result<Map<String, Value>, Refusal> {
    let mut data = Map::new();
    for (name, value) in &item.changes.values {
        match name.split_once('.') {
            Some(("custom_fields", key)) if !key.is_empty() => put(&mut data, "custom_fields", key, value),
            Some((group, key)) if FIELDS.iter().any(|(known, _)| known == name) => put(&mut data, group, key, value),
            None if FIELDS.iter().any(|(known, _)| known == name) => _ = data.insert(name.clone(), value.clone()),
            _ => return Err(Refusal::Invalid(Fault::of(name, "not_writable", "Deskbridge never writes this field"))),
        }
    }
    if !(item.changes.add_tags.is_empty() && item.changes.remove_tags.is_empty()) {
        data.insert("tags".to_owned(), json!(item.tags));
    }
    Ok(data)
}

fn put(data: &mut Map<String, Value>, group: &str, key: &str, value: &Value) {
    data.entry(group).or_insert_with(|| json!({}))[key] = value.clone();
}

fn shape(words: &str) -> Refusal {
    Refusal::Invalid(Fault::new("call", words))
}

/// What became of the contact; None where the answer holds none, which may come from anybody. Sell says 200 of new ones, too: such a
/// one has never been changed.
pub(super) fn row(written: &Written, item: &Item) -> Option<JobRow> {
    let text = String::from_utf8_lossy(&written.body);
    let contact = decode::contact(serde_json::from_str::<&RawValue>(text.trim()).ok()?)?;
    let value = |name: &str| contact.values.get(name).and_then(Value::as_str);
    let made: Option<DateTime<Utc>> = value("created_at").and_then(|text| text.parse().ok());
    let is_new = item.id.is_none() && made.is_some() && made == contact.updated_at;
    let email = value("email").map(str::to_owned);
    let action = Some(if is_new { "create" } else { "update" }.to_owned());
    Some(JobRow { index: Some(0), id: Some(contact.id), email, success: true, action, ..JobRow::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::push::Changes;
    use std::collections::BTreeSet;

    fn item(id: Option<&str>, email: Option<&str>, values: Value) -> Item {
        Item {
            id: id.map(str::to_owned),
            key: email.map(|email| (KeyKind::Email, email.to_owned())),
            changes: Changes { values: serde_json::from_value(values).expect("values"), ..Changes::default() },
            tags: BTreeSet::new(),
        }
    }

    #[test]
    fn a_contact_is_written_by_id_or_by_email() {
        let check = |item: Item, expected: Result<(&str, &str, Value), (Option<&str>, &str)>| {
            let found = request(&[item]);
            match (&found, expected) {
                (Ok(found), Ok((method, path, data))) => {
                    assert_eq!((found.method.as_str(), found.path.as_str()), (method, path));
                    assert_eq!(found.body, Some(json!({ "data": data })));
                }
                (Err(Refusal::Invalid(fault)), Err((field, class))) => {
                    assert_eq!((fault.field.as_deref(), fault.class.as_str()), (field, class));
                }
                _ => panic!("{found:?}"),
            }
        };
        let values = json!({"custom_fields.My status": "exited", "address.city": null, "address.country": "NO"});
        let data = json!({"custom_fields": {"My status": "exited"}, "address": {"city": null, "country": "NO"}});
        check(item(Some("7"), Some("ana@x.example"), values), Ok(("PUT", "/v2/contacts/7", data)));
        check(
            item(None, Some("ana+1@x.example"), json!({"last_name": "Lee"})),
            Ok((
                "POST",
                "/v2/contacts/upsert?email=ana%2B1%40x.example",
                json!({"last_name": "Lee", "email": "ana+1@x.example"}),
            )),
        );
        check(item(None, Some("ana@x.example"), json!({"title": "CEO"})), Err((Some("last_name"), "required_missing")));
        check(item(None, None, json!({"last_name": "Lee"})), Err((None, "call")));
        check(item(Some("7"), None, json!({"owner_id": 1})), Err((Some("owner_id"), "not_writable")));
        check(item(Some("x"), None, json!({"title": "CEO"})), Err((None, "call")));
        assert!(matches!(request(&[]), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn tags_are_sent_whole_and_only_when_they_change() {
        let mut tagged = item(Some("7"), None, json!({}));
        tagged.tags = ["a".to_owned(), "b".to_owned()].into();
        assert_eq!(request(&[tagged.clone()]).expect("a request").body, Some(json!({"data": {}})));
        tagged.changes.add_tags = ["b".to_owned()].into();
        assert_eq!(request(&[tagged]).expect("a request").body, Some(json!({"data": {"tags": ["a", "b"]}})));
    }
}
