//! Fields that can be written: custom ones as the account defines them, system ones as the reference does; and making them.

use super::super::client::Client;
use super::super::decode;
use super::super::error::{ApiError, Kind};
use super::super::stream::fields_path;
use super::super::webhooks::encode;
use super::body::{OF_ORGANIZATIONS, OF_USERS};
use super::rows::rows;
use super::sell;
use crate::model::activation::Target;
use crate::model::push::TargetField;
use reqwest::Method;
use serde_json::{Value, json};

/// Pages of definitions that are read; accounts have some hundreds of fields.
const MAX_PAGES: usize = 100;

/// All fields of a target that can be written: its system fields and all custom ones, also those that are switched off.
pub async fn fields(client: &Client, target: Target) -> Result<Vec<TargetField>, ApiError> {
    let Some(list) = list(target) else { return sell::fields(client).await };
    let mut fields = system(target);
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = rows(client, &fields_path(list, after.as_deref()), list).await?;
        fields.extend(page.records.iter().filter_map(|raw| decode::target_field(raw, target.custom_prefix())));
        match (page.has_more, page.after_cursor) {
            (Some(true), Some(next)) if after.as_ref() != Some(&next) => after = Some(next),
            _ => break,
        }
    }
    Ok(fields)
}

/// Makes a custom field. Fails when its key is taken, as every other refusal does.
pub async fn create_field(client: &Client, target: Target, field: &TargetField, title: &str) -> Result<(), ApiError> {
    let (list, key) = place(target, field)?;
    let mut made = json!({"key": key, "type": field.kind, "title": title});
    if !field.options.is_empty() {
        let option = |value: &String| json!({"name": value, "value": value});
        made["custom_field_options"] = field.options.iter().map(option).collect();
    }
    if let Some(pattern) = &field.pattern {
        made["regexp_for_validation"] = pattern.as_str().into();
    }
    let body = json!({ one(list): made });
    client.send(Method::POST, &format!("/api/v2/{list}"), Some(&body)).await.map(|_| ())
}

/// Adds an option to a dropdown or multiselect field, all others staying as they are.
pub async fn add_option(client: &Client, target: Target, field: &TargetField, value: &str) -> Result<(), ApiError> {
    let (list, key) = place(target, field)?;
    let (id, mut options) = options(client, list, key).await?;
    let option = json!({"name": value, "value": value});
    let (method, path, body) = if target == Target::Organizations {
        // Options of these have no request of their own: all of them are sent, since those left out would be removed (Z§3).
        options.push(option);
        let body = json!({"organization_field": {"custom_field_options": options}});
        (Method::PUT, format!("/api/v2/{list}/{id}"), body)
    } else {
        (Method::POST, format!("/api/v2/{list}/{id}/options"), json!({ "custom_field_option": option }))
    };
    client.send(method, &path, Some(&body)).await.map(|_| ())
}

/// The id of a field, and its options as they are sent.
async fn options(client: &Client, list: &str, key: &str) -> Result<(i64, Vec<Value>), ApiError> {
    let path = format!("/api/v2/{list}/{}", encode(key));
    let body = client.get(&path).await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let field = &answer[one(list)];
    let id = field["id"].as_i64().ok_or_else(|| ApiError {
        endpoint: format!("GET {path}"),
        kind: Kind::BadBody("the answer holds no field".into()),
    })?;
    let plain = |option: &Value| json!({"id": option["id"], "name": option["name"], "value": option["value"]});
    Ok((id, field["custom_field_options"].as_array().into_iter().flatten().map(plain).collect()))
}

fn list(target: Target) -> Option<&'static str> {
    match target {
        Target::Users => Some("user_fields"),
        Target::Organizations => Some("organization_fields"),
        Target::SellContacts => None,
    }
}

fn one(list: &str) -> &str {
    list.trim_end_matches('s')
}

/// The list and the key of a custom field.
fn place(target: Target, field: &TargetField) -> Result<(&'static str, &str), ApiError> {
    let key = field.name.strip_prefix(target.custom_prefix()).and_then(|rest| rest.strip_prefix('.'));
    list(target).zip(key).ok_or_else(|| ApiError {
        endpoint: "custom fields".into(),
        kind: Kind::BadBody(format!("{} is no custom field of {}", field.name, target.as_str())),
    })
}

/// The system fields of a target.
fn system(target: Target) -> Vec<TargetField> {
    let names = if target == Target::Organizations { OF_ORGANIZATIONS } else { OF_USERS };
    names.iter().map(|name| system_field(name)).collect()
}

/// A system field, with what the reference says of it (Z§3). Zendesk documents few lengths: 255 characters are what its columns
/// of short texts hold.
fn system_field(name: &str) -> TargetField {
    let (kind, max_chars) = match name {
        "details" | "notes" => ("textarea", Some(65_535)),
        "alias" => ("text", Some(255)),
        name => (name, Some(255)),
    };
    TargetField {
        name: name.to_owned(),
        kind: kind.to_owned(),
        active: true,
        options: Vec::new(),
        pattern: None,
        max_chars,
    }
}
