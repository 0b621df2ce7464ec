//! Our webhook in Zendesk: found, repaired or made, and its signing secret (Z§8.1). Never a second one.

use super::client::Client;
use super::decode::SUBSCRIBED;
use super::error::{ApiError, Kind};
use super::progress::Progress;
use crate::config::SecretText;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A webhook as Zendesk has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Webhook {
    /// Id.
    pub id: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Where it sends to.
    #[serde(default)]
    pub endpoint: String,
    /// active or inactive.
    #[serde(default)]
    pub status: String,
    /// Event types.
    #[serde(default)]
    pub subscriptions: Vec<String>,
}

/// What is wrong with our webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is switched off.
    Inactive,
    /// It sends elsewhere.
    Endpoint,
    /// It does not send everything that we apply.
    Subscriptions,
}

impl Fault {
    /// In words.
    pub fn words(&self) -> &'static str {
        match self {
            Fault::Missing => "our webhook is not there",
            Fault::Inactive => "our webhook is switched off",
            Fault::Endpoint => "our webhook sends to another address",
            Fault::Subscriptions => "our webhook does not send every type of event that is applied",
        }
    }
}

/// The name our webhook has, by which it is found again.
pub fn name_of(source: &str) -> String {
    format!("Deskbridge {source}")
}

/// The event types we apply, as Zendesk writes them.
pub fn subscriptions() -> Vec<String> {
    SUBSCRIBED.iter().map(|kind| format!("zen:event-type:{kind}")).collect()
}

fn wanted(source: &str, endpoint: &str) -> Value {
    json!({"webhook": {
        "name": name_of(source), "description": "Tells Deskbridge what changed. Managed by Deskbridge: changes are undone.",
        "status": "active", "endpoint": endpoint, "http_method": "POST", "request_format": "json",
        "subscriptions": subscriptions(),
    }})
}

/// What is wrong with a webhook that ought to send to `endpoint`.
pub fn faults(webhook: &Webhook, endpoint: &str) -> Vec<Fault> {
    let subscribed: BTreeSet<&str> = webhook.subscriptions.iter().map(String::as_str).collect();
    let all = subscriptions();
    let mut faults = Vec::new();
    if webhook.status != "active" {
        faults.push(Fault::Inactive);
    }
    if !same_endpoint(&webhook.endpoint, endpoint) {
        faults.push(Fault::Endpoint);
    }
    if all.iter().any(|kind| !subscribed.contains(kind.as_str())) {
        faults.push(Fault::Subscriptions);
    }
    faults
}

/// Zendesk appends `:443` to an endpoint's host (Z§1): that is the same endpoint.
fn same_endpoint(a: &str, b: &str) -> bool {
    let parse = |text: &str| url::Url::parse(text).ok();
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Our webhook, by its id or else by its name.
pub async fn find(client: &Client, source: &str, id: Option<&str>) -> Result<Option<Webhook>, ApiError> {
    if let Some(id) = id {
        match client.get(&format!("/api/v2/webhooks/{id}")).await {
            Ok(body) => return Ok(Some(parse::<One>("GET /api/v2/webhooks/:id", &body)?.webhook)),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let name = name_of(source);
    let mut after: Option<String> = None;
    let mut progress = Progress::default();
    loop {
        let mut path = format!("/api/v2/webhooks?page%5Bsize%5D=100&filter%5Bname_contains%5D={}", encode(&name));
        if let Some(after) = &after {
            path.push_str(&format!("&page%5Bafter%5D={}", encode(after)));
        }
        let list: List = parse("GET /api/v2/webhooks", &client.get(&path).await?)?;
        let ids: Vec<String> = list.webhooks.iter().map(|webhook| webhook.id.clone()).collect();
        if let Some(found) = list.webhooks.into_iter().find(|webhook| webhook.name == name) {
            return Ok(Some(found));
        }
        let Some(meta) = list.meta.filter(|meta| meta.has_more) else { return Ok(None) };
        // Not found before the end is not the same as not there: a second webhook would be made.
        let step = progress.step(meta.after_cursor.as_deref(), &ids);
        step.map_err(|why| ApiError { endpoint: "GET /api/v2/webhooks".into(), kind: Kind::Stalled(why) })?;
        after = meta.after_cursor;
    }
}

/// Makes sure that our webhook is there and right: finds, repairs or makes it. Answers it and what was wrong.
pub async fn ensure(
    client: &Client,
    source: &str,
    id: Option<&str>,
    endpoint: &str,
) -> Result<(Webhook, Vec<Fault>), ApiError> {
    let Some(found) = find(client, source, id).await? else {
        let body = client.send(Method::POST, "/api/v2/webhooks", Some(&wanted(source, endpoint))).await?;
        let made = parse::<One>("POST /api/v2/webhooks", &body)?.webhook;
        return Ok((made, vec![Fault::Missing]));
    };
    let faults = faults(&found, endpoint);
    if !faults.is_empty() {
        client.send(Method::PATCH, &format!("/api/v2/webhooks/{}", found.id), Some(&wanted(source, endpoint))).await?;
    }
    Ok((found, faults))
}

/// The signing secret of a webhook.
pub async fn signing_secret(client: &Client, id: &str) -> Result<SecretText, ApiError> {
    let body = client.get(&format!("/api/v2/webhooks/{id}/signing_secret")).await?;
    let answer: Signing = parse("GET /api/v2/webhooks/:id/signing_secret", &body)?;
    Ok(SecretText::new(answer.signing_secret.secret))
}

/// Removes a webhook; one that is gone already is as well.
pub async fn remove(client: &Client, id: &str) -> Result<(), ApiError> {
    match client.send(Method::DELETE, &format!("/api/v2/webhooks/{id}"), None).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct One {
    webhook: Webhook,
}

#[derive(Deserialize)]
struct List {
    webhooks: Vec<Webhook>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    has_more: bool,
    after_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Signing {
    signing_secret: SigningSecret,
}

#[derive(Deserialize)]
struct SigningSecret {
    secret: String,
}

fn parse<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError {
        endpoint: endpoint.to_string(),
        kind: Kind::BadBody("the answer is no JSON of the expected shape".into()),
    })
}

/// A text as the value of a parameter.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
