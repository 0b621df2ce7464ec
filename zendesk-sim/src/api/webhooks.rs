//! `/webhooks`: making, changing, signing and looking back.
use crate::deliver::breaker::Breaker;
use crate::deliver::ulid::ulid;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::event_types;
use crate::world::hooks::{TRIAL_WEBHOOKS, Webhook};
use crate::world::user::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// How many headers of their own a webhook's deliveries may have.
const MOST_HEADERS: usize = 5;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const FORMATS: [&str; 3] = ["json", "xml", "form_encoded"];

/// Answers `/webhooks...`; `/webhooks/test` is answered by the server, which can call out.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    if caller.role != Role::Admin {
        return Some(Reply::forbidden());
    }
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => super::webhook_lists::webhooks(world, req),
        ("POST", []) => create(world, caller, req),
        ("GET", [id]) => match world.hooks.all.get(*id) {
            Some(hook) => Reply::ok(&json!({"webhook": hook.as_rest()})),
            None => missing(),
        },
        (method @ ("PUT" | "PATCH"), [id]) => change(world, caller, req, id, method == "PUT"),
        ("DELETE", [id]) => match world.remove_webhook(id) {
            true => Reply::nothing(),
            false => missing(),
        },
        ("GET", [id, "signing_secret"]) => secret(world, 200, id),
        ("POST", [id, "signing_secret"]) => {
            world.rotate_webhook_secret(id);
            secret(world, 201, id)
        }
        ("GET", [id, "invocations"]) => super::webhook_lists::invocations(world, caller, req, id),
        ("GET", [id, "invocations", invocation, "attempts"]) => {
            super::webhook_lists::attempts(world, caller, id, invocation)
        }
        _ => return None,
    };
    Some(reply)
}

fn error(status: u16, code: &str, title: &str, detail: &str) -> Value {
    json!({"code": code, "title": title, "detail": detail, "id": "0", "links": {}, "source": {},
        "status": status.to_string()})
}

/// The answer to an id that no webhook has.
pub fn missing() -> Reply {
    let errors = [error(404, "WebhookNotFound", "Webhook not found", "Webhook not found")];
    Reply::json(404, &json!({ "errors": errors }))
}

/// The answer to a webhook that would be wrong, with every reason.
pub fn wrong(words: &[String]) -> Reply {
    let errors: Vec<_> = words.iter().map(|words| error(400, "InvalidWebhook", "Invalid webhook", words)).collect();
    Reply::json(400, &json!({ "errors": errors }))
}

fn secret(world: &World, status: u16, id: &str) -> Reply {
    match world.hooks.all.get(id) {
        Some(hook) => Reply::json(status, &json!({"signing_secret": {"secret": hook.secret, "algorithm": "SHA256"}})),
        None => missing(),
    }
}

impl World {
    /// A signing secret: random bytes in base64, used later as the text it is.
    fn new_webhook_secret(&mut self) -> String {
        let bytes: [u8; 32] = std::array::from_fn(|_| self.chance.random());
        STANDARD.encode(bytes)
    }

    /// Gives a webhook another signing secret, which is the only valid one from now on.
    pub fn rotate_webhook_secret(&mut self, id: &str) -> bool {
        let fresh = self.new_webhook_secret();
        self.hooks.all.get_mut(id).map(|hook| hook.secret = fresh).is_some()
    }

    /// Removes a webhook with its triggers and what was due to it.
    pub fn remove_webhook(&mut self, id: &str) -> bool {
        self.hooks.triggers.retain(|trigger| trigger.webhook_id != id);
        self.hooks.due.retain(|due| due.webhook_id != id);
        self.hooks.all.remove(id).is_some()
    }

    /// Changes a webhook as `PATCH` does, or as `PUT` does, which replaces it whole. `Err` says what would be wrong.
    pub fn change_webhook(
        &mut self,
        id: &str,
        given: &Value,
        whole: bool,
        now: crate::time::Stamp,
        by: i64,
    ) -> Option<Result<(), Vec<String>>> {
        let former = self.hooks.all.get(id)?;
        let mut hook = former.clone();
        let mut problems = Vec::new();
        if whole {
            (hook.description, hook.authentication, hook.custom_headers) = (None, None, BTreeMap::new());
            for key in ["name", "endpoint", "http_method", "request_format", "status"] {
                if given[key].as_str().is_none() {
                    problems.push(format!("{key} is required"));
                }
            }
        }
        problems.extend(apply(&mut hook, given));
        let kind = |hook: &Webhook| (hook.is_of_events(), hook.is_conditional());
        if kind(former) != (false, false) && kind(&hook) != kind(former) {
            problems.push("the subscriptions of a webhook cannot be switched between events and triggers".into());
        }
        problems.extend(check(&hook));
        if !problems.is_empty() {
            return Some(Err(problems));
        }
        hook.updated = Some((now.to_string(), by.to_string()));
        self.hooks.all.insert(id.to_owned(), hook);
        Some(Ok(()))
    }
}

/// What is wrong with a webhook.
fn check(hook: &Webhook) -> Vec<String> {
    let mut problems = Vec::new();
    let mut demand = |ok: bool, words: &str| {
        if !ok {
            problems.push(words.to_owned());
        }
    };
    demand(!hook.name.trim().is_empty(), "name is required");
    let endpoint = url::Url::parse(&hook.endpoint);
    let is_web = endpoint.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    demand(is_web, "endpoint is not a valid URL");
    demand(METHODS.contains(&hook.method.as_str()), "http_method is not one of GET, POST, PUT, PATCH, DELETE");
    demand(FORMATS.contains(&hook.format.as_str()), "request_format is not one of json, xml, form_encoded");
    let events = hook.is_of_events();
    let mixed = events && hook.is_conditional();
    demand(!mixed, "subscriptions cannot mix event types and conditional_ticket_events");
    let as_events = hook.method == "POST" && hook.format == "json";
    demand(!events || as_events, "event subscriptions need http_method POST and request_format json");
    for subscription in &hook.subscriptions {
        let known = subscription.strip_prefix("zen:event-type:").is_some_and(event_types::exists);
        demand(known || subscription == crate::world::hooks::CONDITIONAL, &format!("no event type {subscription}"));
    }
    if let Some(authentication) = &hook.authentication {
        let has = |keys: &[&str]| keys.iter().all(|key| authentication["data"][*key].is_string());
        let whole = match authentication["type"].as_str() {
            Some("basic_auth") => has(&["username", "password"]),
            Some("bearer_token") => has(&["token"]),
            Some("api_key") => has(&["name", "value"]),
            _ => false,
        };
        demand(whole, "authentication is not complete");
        let place = authentication["add_position"].as_str().unwrap_or("header");
        demand(place == "header", "authentication.add_position must be header");
    }
    demand(hook.custom_headers.len() <= MOST_HEADERS, "there may be 5 custom_headers at most");
    let ours = |name: &String| name.to_lowercase().starts_with("x-zendesk-");
    demand(!hook.custom_headers.keys().any(ours), "custom_headers cannot begin with X-Zendesk-");
    problems
}

fn unmade() -> Webhook {
    Webhook {
        id: String::new(),
        name: String::new(),
        description: None,
        active: true,
        subscriptions: Vec::new(),
        endpoint: String::new(),
        method: "POST".into(),
        format: "json".into(),
        authentication: None,
        custom_headers: BTreeMap::new(),
        secret: String::new(),
        created: (crate::time::Stamp::default(), 0),
        created_by: String::new(),
        updated: None,
        log: VecDeque::new(),
        breaker: Breaker::default(),
    }
}

/// A webhook that is not kept, for a test before there is one; signed with `secret`.
pub fn imagined(given: &Value, secret: &str) -> Webhook {
    let mut hook = Webhook { id: "01TEST00000000000000000001".into(), secret: secret.to_owned(), ..unmade() };
    apply(&mut hook, given);
    hook
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let given = &req.body["webhook"];
    let copied = req.q("clone_webhook_id");
    let former = copied.and_then(|id| world.hooks.all.get(id)).cloned();
    if copied.is_some() && former.is_none() {
        return missing();
    }
    if copied.is_none() && !given.is_object() {
        return wrong(&["webhook is required".to_owned()]);
    }
    if world.hooks.trial && world.hooks.all.len() >= TRIAL_WEBHOOKS {
        return wrong(&[format!("a trial account may have {TRIAL_WEBHOOKS} webhooks")]);
    }
    let is_copy = former.is_some();
    let mut hook = former.unwrap_or_else(unmade);
    if is_copy {
        hook.name.push_str(" (copy)");
    }
    hook.id = ulid(caller.now_ms, world.chance.random());
    hook.created = (caller.now, world.chance.random_range(0..1_000_000_000));
    hook.created_by = caller.user_id.to_string();
    (hook.updated, hook.breaker) = (None, Breaker::default());
    hook.log.clear();
    hook.secret = match given["signing_secret"]["secret"].as_str() {
        Some(chosen) if !chosen.is_empty() => chosen.to_owned(),
        _ => world.new_webhook_secret(),
    };
    let mut problems = apply(&mut hook, given);
    problems.extend(check(&hook));
    if !problems.is_empty() {
        return wrong(&problems);
    }
    let mut shown = hook.as_rest();
    let exact = format!("{:09}", hook.created.1);
    let stem = hook.created.0.to_string();
    shown["created_at"] = format!("{}.{}Z", stem.trim_end_matches('Z'), exact.trim_end_matches('0')).into();
    world.hooks.all.insert(hook.id.clone(), hook);
    Reply::json(201, &json!({ "webhook": shown }))
}

/// Takes over what is given; answers what has the wrong type.
pub fn apply(hook: &mut Webhook, given: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let texts = [
        ("name", &mut hook.name),
        ("endpoint", &mut hook.endpoint),
        ("http_method", &mut hook.method),
        ("request_format", &mut hook.format),
    ];
    for (key, place) in texts {
        match &given[key] {
            Value::Null => {}
            Value::String(text) => text.clone_into(place),
            _ => problems.push(format!("{key} must be a text")),
        }
    }
    match &given["status"] {
        Value::Null => {}
        Value::String(text) if text == "active" || text == "inactive" => hook.active = text == "active",
        _ => problems.push("status is not one of active, inactive".to_owned()),
    }
    if given.get("description").is_some() {
        hook.description = given["description"].as_str().map(str::to_owned);
    }
    match &given["subscriptions"] {
        Value::Null => {}
        Value::Array(list) => {
            hook.subscriptions = list.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect();
        }
        _ => problems.push("subscriptions must be a list".to_owned()),
    }
    if given.get("authentication").is_some() {
        hook.authentication = Some(given["authentication"].clone()).filter(|value| !value.is_null());
    }
    if let Some(headers) = given["custom_headers"].as_object() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        hook.custom_headers = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    }
    problems
}

fn change(world: &mut World, caller: &Caller, req: &Req, id: &str, whole: bool) -> Reply {
    match world.change_webhook(id, &req.body["webhook"], whole, caller.now, caller.user_id) {
        None => missing(),
        Some(Ok(())) => Reply::nothing(),
        Some(Err(problems)) => wrong(&problems),
    }
}
