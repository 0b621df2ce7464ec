//! Our webhook in Zendesk: found, repaired or made, and its signing secret (Z§8.1). Never a second one, never another's.
//!
//! A webhook is ours when it has the id that we stored, or both our name and our address. One that has only one of them may be
//! somebody else's, such as that of another installation: it is told about and left alone.

use super::client::Client;
use super::decode::SUBSCRIBED;
use super::error::{ApiError, Kind};
use super::progress::{Progress, Standstill};
use crate::config::SecretText;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Pages of the list of webhooks that are read at most: a hundred webhooks each.
const MOST_PAGES: usize = 100;

/// A webhook as Zendesk has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Webhook {
    /// Id: a ULID, so that the older of two has the lesser one.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it sends to.
    pub endpoint: String,
    /// active or inactive.
    pub status: String,
    /// Event types.
    pub subscriptions: Vec<String>,
    /// POST, where it is as it should be.
    pub http_method: String,
    /// json, where it is as it should be.
    pub request_format: String,
}

/// What is wrong with our webhook, or beside it.
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
    /// It sends in another way than by POST and JSON.
    Format,
    /// It has another name, by which a new installation would not find it.
    Name,
    /// There is a second one of ours, by this id.
    Twin(String),
    /// Somebody else's webhook sends to our address: its id and name.
    Stranger(String, String),
}

impl Fault {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Fault::Missing => "our webhook is not there".into(),
            Fault::Inactive => "our webhook is switched off".into(),
            Fault::Endpoint => "our webhook sends to another address".into(),
            Fault::Subscriptions => "our webhook does not send every type of event that is applied".into(),
            Fault::Format => "our webhook does not send JSON by POST".into(),
            Fault::Name => "our webhook was given another name".into(),
            Fault::Twin(id) => format!("there is a second webhook of ours, {id}"),
            // Its name is what somebody wrote: not for logs.
            Fault::Stranger(id, _) => format!("another webhook, {id}, sends to our address; what it sends is refused"),
        }
    }

    /// Whether webhooks were lost by it, so that the exports have to bring what happened meanwhile.
    pub fn loses(&self) -> bool {
        matches!(self, Fault::Missing | Fault::Inactive | Fault::Endpoint | Fault::Subscriptions | Fault::Format)
    }

    /// Whether it is ours to repair.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Fault::Stranger(..))
    }
}

/// The webhooks API of one account. A patient one waits for the budget and tries again; the other does neither, and leaves it
/// to the next time.
pub struct Api<'a> {
    client: &'a Client,
    patient: bool,
}

impl<'a> Api<'a> {
    /// For a person who waits for the outcome.
    pub fn patient(client: &'a Client) -> Api<'a> {
        Api { client, patient: true }
    }

    /// For what comes back by itself.
    pub fn passing(client: &'a Client) -> Api<'a> {
        Api { client, patient: false }
    }

    /// Reads and parses; `endpoint` names it in errors.
    pub(super) async fn get<T: DeserializeOwned>(&self, endpoint: &str, path: &str) -> Result<T, ApiError> {
        let body = match self.patient {
            true => self.client.get(path).await?,
            false => self.client.get_if_affordable(path).await?,
        };
        parse(endpoint, &body)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, ApiError> {
        match self.patient {
            true => self.client.send(method, path, body).await,
            false => self.client.send_if_affordable(method, path, body).await,
        }
    }
}

/// The webhooks of an account that matter to us.
#[derive(Debug, Default)]
pub struct Survey {
    /// Ours.
    pub ours: Option<Webhook>,
    /// Others with our name and our address: made by two daemons at once, say.
    pub twins: Vec<Webhook>,
    /// Others that send to our address.
    pub strangers: Vec<Webhook>,
}

/// The name our webhook has.
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

/// What is wrong with a webhook that ought to tell `source` at `endpoint`.
pub fn faults(webhook: &Webhook, source: &str, endpoint: &str) -> Vec<Fault> {
    let subscribed: BTreeSet<&str> = webhook.subscriptions.iter().map(String::as_str).collect();
    let is = |text: &str, wanted: &str| text.is_empty() || text.eq_ignore_ascii_case(wanted);
    let checks = [
        (webhook.status == "active", Fault::Inactive),
        (same_endpoint(&webhook.endpoint, endpoint), Fault::Endpoint),
        (subscriptions().iter().all(|kind| subscribed.contains(kind.as_str())), Fault::Subscriptions),
        (is(&webhook.http_method, "POST") && is(&webhook.request_format, "json"), Fault::Format),
        (webhook.name == name_of(source), Fault::Name),
    ];
    checks.into_iter().filter(|(right, _)| !right).map(|(_, fault)| fault).collect()
}

/// Zendesk appends `:443` to an endpoint's host (Z§1): that is the same endpoint.
fn same_endpoint(a: &str, b: &str) -> bool {
    let parse = |text: &str| url::Url::parse(text).ok();
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Every webhook of the account.
async fn all(api: &Api<'_>) -> Result<Vec<Webhook>, ApiError> {
    let endpoint = "GET /api/v2/webhooks";
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    let mut progress = Progress::default();
    for _ in 0..MOST_PAGES {
        let mut path = String::from("/api/v2/webhooks?page%5Bsize%5D=100");
        if let Some(after) = &after {
            path.push_str(&format!("&page%5Bafter%5D={}", encode(after)));
        }
        let list: List = api.get(endpoint, &path).await?;
        let ids: Vec<String> = list.webhooks.iter().map(|webhook| webhook.id.clone()).collect();
        found.extend(list.webhooks);
        let Some(meta) = list.meta.filter(|meta| meta.has_more) else { return Ok(found) };
        // Not found before the end is not the same as not there: a second webhook would be made.
        let step = progress.step(meta.after_cursor.as_deref(), &ids);
        step.map_err(|why| ApiError { endpoint: endpoint.into(), kind: Kind::Stalled(why) })?;
        after = meta.after_cursor;
    }
    Err(ApiError { endpoint: endpoint.into(), kind: Kind::Stalled(Standstill::Endless) })
}

/// Looks for our webhook among all: by its id, or else by name and address.
pub async fn survey(api: &Api<'_>, source: &str, id: Option<&str>, endpoint: &str) -> Result<Survey, ApiError> {
    Ok(sort_out(all(api).await?, source, id, endpoint))
}

fn sort_out(all: Vec<Webhook>, source: &str, id: Option<&str>, endpoint: &str) -> Survey {
    let name = name_of(source);
    // One that triggers send to cannot be made one of events.
    let of_events = |webhook: &Webhook| !webhook.subscriptions.iter().any(|kind| kind == "conditional_ticket_events");
    let alike =
        |webhook: &Webhook| webhook.name == name && same_endpoint(&webhook.endpoint, endpoint) && of_events(webhook);
    let by_id = all.iter().find(|webhook| Some(webhook.id.as_str()) == id);
    let oldest = || all.iter().filter(|webhook| alike(webhook)).min_by(|a, b| a.id.cmp(&b.id));
    let ours = by_id.or_else(oldest).cloned();
    let mut survey = Survey::default();
    for other in all.into_iter().filter(|webhook| ours.as_ref().is_none_or(|ours| ours.id != webhook.id)) {
        if alike(&other) {
            survey.twins.push(other);
        } else if same_endpoint(&other.endpoint, endpoint) {
            survey.strangers.push(other);
        }
    }
    survey.ours = ours;
    survey
}

impl Survey {
    /// Everything that is wrong.
    pub fn faults(&self, source: &str, endpoint: &str) -> Vec<Fault> {
        let mut found = self.ours.as_ref().map_or_else(|| vec![Fault::Missing], |ours| faults(ours, source, endpoint));
        found.extend(self.twins.iter().map(|twin| Fault::Twin(twin.id.clone())));
        let sending = self.strangers.iter().filter(|other| other.status == "active");
        found.extend(sending.map(|other| Fault::Stranger(other.id.clone(), other.name.clone())));
        found
    }
}

/// Repairs what is ours to repair of what a survey found: makes the webhook, puts it right, removes second ones. Answers it.
pub async fn repair(api: &Api<'_>, source: &str, survey: Survey, endpoint: &str) -> Result<Webhook, ApiError> {
    let Some(ours) = survey.ours else { return make(api, source, endpoint).await };
    if !faults(&ours, source, endpoint).is_empty() {
        api.send(Method::PATCH, &format!("/api/v2/webhooks/{}", ours.id), Some(&wanted(source, endpoint))).await?;
    }
    for twin in survey.twins {
        remove_by(api, &twin.id).await?;
    }
    Ok(ours)
}

/// Makes the webhook. Another daemon may do so at this moment: whoever lists last sees both, and all keep the older one.
async fn make(api: &Api<'_>, source: &str, endpoint: &str) -> Result<Webhook, ApiError> {
    let body = api.send(Method::POST, "/api/v2/webhooks", Some(&wanted(source, endpoint))).await?;
    let made = parse::<One>("POST /api/v2/webhooks", &body)?.webhook;
    let survey = survey(api, source, None, endpoint).await?;
    for twin in survey.twins {
        remove_by(api, &twin.id).await?;
    }
    Ok(survey.ours.unwrap_or(made))
}

/// Makes sure that our webhook is there and right: finds, repairs or makes it. Answers it and what was wrong.
pub async fn ensure(
    api: &Api<'_>,
    source: &str,
    id: Option<&str>,
    endpoint: &str,
) -> Result<(Webhook, Vec<Fault>), ApiError> {
    let survey = survey(api, source, id, endpoint).await?;
    let faults = survey.faults(source, endpoint);
    Ok((repair(api, source, survey, endpoint).await?, faults))
}

/// The signing secret of a webhook.
pub async fn signing_secret(api: &Api<'_>, id: &str) -> Result<SecretText, ApiError> {
    let endpoint = "GET /api/v2/webhooks/:id/signing_secret";
    let answer: Signing = api.get(endpoint, &format!("/api/v2/webhooks/{id}/signing_secret")).await?;
    Ok(SecretText::new(answer.signing_secret.secret))
}

/// Gives a webhook a new signing secret, which alone is valid from then on.
pub async fn rotate_secret(api: &Api<'_>, id: &str) -> Result<SecretText, ApiError> {
    let body = api.send(Method::POST, &format!("/api/v2/webhooks/{id}/signing_secret"), None).await?;
    let answer: Signing = parse("POST /api/v2/webhooks/:id/signing_secret", &body)?;
    Ok(SecretText::new(answer.signing_secret.secret))
}

/// Removes a webhook; one that is gone already is as well.
pub async fn remove(client: &Client, id: &str) -> Result<(), ApiError> {
    remove_by(&Api::patient(client), id).await
}

async fn remove_by(api: &Api<'_>, id: &str) -> Result<(), ApiError> {
    match api.send(Method::DELETE, &format!("/api/v2/webhooks/{id}"), None).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://cdp.example/webhooks/zendesk/acme";

    fn hook(id: &str, name: &str, endpoint: &str) -> Webhook {
        let (http_method, request_format) = ("POST".into(), "json".into());
        let (id, name, endpoint, status) = (id.into(), name.into(), endpoint.into(), "active".into());
        Webhook { id, name, endpoint, status, subscriptions: subscriptions(), http_method, request_format }
    }

    #[test]
    fn only_ours_is_taken_for_ours() {
        let ours = "Deskbridge acme";
        let elsewhere = "https://other.example/webhooks/zendesk/acme";
        // Id that we stored; webhooks; ours, twins, strangers.
        type Case<'a> = (Option<&'a str>, Vec<Webhook>, Option<&'a str>, Vec<&'a str>, Vec<&'a str>);
        let table: Vec<Case<'_>> = vec![
            (None, vec![], None, vec![], vec![]),
            (None, vec![hook("2", ours, HERE)], Some("2"), vec![], vec![]),
            (None, vec![hook("2", ours, HERE), hook("1", ours, HERE)], Some("1"), vec!["2"], vec![]),
            (Some("2"), vec![hook("2", ours, HERE), hook("1", ours, HERE)], Some("2"), vec!["1"], vec![]),
            (Some("9"), vec![hook("1", ours, HERE)], Some("1"), vec![], vec![]),
            (Some("2"), vec![hook("2", "renamed", elsewhere)], Some("2"), vec![], vec![]),
            (None, vec![hook("1", ours, elsewhere)], None, vec![], vec![]),
            (None, vec![hook("1", "Deskbridge acme (copy)", HERE)], None, vec![], vec!["1"]),
            (
                Some("1"),
                vec![hook("1", ours, HERE), hook("2", "Deskbridge acme (copy)", HERE)],
                Some("1"),
                vec![],
                vec!["2"],
            ),
            (Some("1"), vec![hook("1", ours, HERE), hook("2", "mine", elsewhere)], Some("1"), vec![], vec![]),
            (None, vec![hook("1", ours, "https://cdp.example:443/webhooks/zendesk/acme")], Some("1"), vec![], vec![]),
        ];
        for (id, all, expected, twins, strangers) in table {
            let survey = sort_out(all.clone(), "acme", id, HERE);
            let ids = |list: &[Webhook]| list.iter().map(|webhook| webhook.id.clone()).collect::<Vec<_>>();
            assert_eq!(survey.ours.as_ref().map(|ours| ours.id.as_str()), expected, "{id:?} {all:?}");
            assert_eq!(
                (ids(&survey.twins), ids(&survey.strangers)),
                (twins.iter().map(ToString::to_string).collect(), strangers.iter().map(ToString::to_string).collect())
            );
        }
        let mut triggers = hook("1", ours, HERE);
        triggers.subscriptions = vec!["conditional_ticket_events".into()];
        assert!(sort_out(vec![triggers], "acme", None, HERE).ours.is_none(), "its kind could not be changed");
    }

    #[test]
    fn each_edit_is_a_fault() {
        let right = || hook("1", "Deskbridge acme", HERE);
        let table = [
            (right(), vec![]),
            (Webhook { status: "inactive".into(), ..right() }, vec![Fault::Inactive]),
            (Webhook { endpoint: "https://else.example/".into(), ..right() }, vec![Fault::Endpoint]),
            (Webhook { subscriptions: subscriptions().split_off(1), ..right() }, vec![Fault::Subscriptions]),
            (Webhook { http_method: "PUT".into(), ..right() }, vec![Fault::Format]),
            (Webhook { request_format: "xml".into(), ..right() }, vec![Fault::Format]),
            (Webhook { name: "x".into(), ..right() }, vec![Fault::Name]),
        ];
        for (webhook, expected) in table {
            assert_eq!(faults(&webhook, "acme", HERE), expected);
        }
    }
}
