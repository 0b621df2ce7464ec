//! `/webhooks`: making, changing, signing and looking back.
use crate::deliver::breaker::Breaker;
use crate::deliver::ulid::ulid;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::hooks::Webhook;
use crate::world::user::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Answers `/webhooks...`; `/webhooks/test` is answered by the server, which can call out.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    if caller.role != Role::Admin {
        return Some(Reply::forbidden());
    }
    let reply = match (req.method.as_str(), &parts[1..]) {
        ("GET", []) => list(world, req),
        ("POST", []) => create(world, caller, req),
        ("GET", [id]) => match world.hooks.all.get(*id) {
            Some(hook) => Reply::ok(&json!({"webhook": hook.as_rest()})),
            None => missing(),
        },
        (method @ ("PUT" | "PATCH"), [id]) => change(world, caller, req, id, method == "PUT"),
        ("DELETE", [id]) => match world.hooks.all.remove(*id) {
            Some(_) => Reply::nothing(),
            None => missing(),
        },
        ("GET", [id, "signing_secret"]) => secret(world, 200, id),
        ("POST", [id, "signing_secret"]) => {
            let fresh = new_secret(world);
            if let Some(hook) = world.hooks.all.get_mut(*id) {
                hook.secret = fresh;
            }
            secret(world, 201, id)
        }
        ("GET", [id, "invocations"]) => invocations(world, req, id),
        ("GET", [id, "invocations", invocation, "attempts"]) => {
            let hook = world.hooks.all.get_mut(*id);
            match hook.and_then(|hook| hook.invocation(invocation)) {
                Some(found) => Reply::ok(&json!({"attempts": found.attempts})),
                None => missing(),
            }
        }
        _ => return None,
    };
    Some(reply)
}

fn missing() -> Reply {
    Reply::json(
        404,
        &json!({"errors": [{"code": "WebhookNotFound", "title": "Webhook not found",
        "detail": "Webhook not found", "id": "0", "links": {}, "source": {}, "status": "404"}]}),
    )
}

fn wrong(words: &str) -> Reply {
    Reply::json(
        400,
        &json!({"errors": [{"code": "InvalidWebhook", "title": "Invalid webhook", "detail": words,
        "id": "0", "links": {}, "source": {}, "status": "400"}]}),
    )
}

/// A signing secret: random bytes in base64, used later as the text it is.
pub fn new_secret(world: &mut World) -> String {
    let bytes: [u8; 32] = std::array::from_fn(|_| world.chance.random());
    STANDARD.encode(bytes)
}

fn secret(world: &World, status: u16, id: &str) -> Reply {
    match world.hooks.all.get(id) {
        Some(hook) => Reply::json(status, &json!({"signing_secret": {"secret": hook.secret, "algorithm": "SHA256"}})),
        None => missing(),
    }
}

fn list(world: &World, req: &Req) -> Reply {
    let name = req.q("filter[name_contains]").unwrap_or_default().to_lowercase();
    let status = req.q("filter[status]");
    let size = req.number("page[size]").unwrap_or(100).clamp(1, 100) as usize;
    let after = req.q("page[after]").unwrap_or_default();
    let wanted = |hook: &&Webhook| {
        hook.name.to_lowercase().contains(&name)
            && hook.id.as_str() > after
            && status.is_none_or(|status| hook.active == (status == "active"))
    };
    let found: Vec<_> = world.hooks.all.values().filter(wanted).take(size + 1).collect();
    let rows: Vec<_> = found.iter().take(size).map(|hook| hook.as_rest()).collect();
    let more = found.len() > size;
    let mut body = json!({"meta": {"has_more": more}, "webhooks": rows});
    // Cursors are told only when there is more.
    if let Some(last) = found.get(size - 1).filter(|_| more) {
        body["meta"]["after_cursor"] = last.id.as_str().into();
        let next = format!("{}:443/api/v2/webhooks?page[after]={}&page[size]={size}", world.host, last.id);
        body["links"] = json!({ "next": next });
    }
    Reply::ok(&body)
}

fn check(hook: &Webhook) -> Result<(), Reply> {
    let events = hook.subscriptions.iter().any(|s| s.starts_with("zen:event-type:"));
    let conditional = hook.subscriptions.iter().any(|s| s == "conditional_ticket_events");
    if hook.name.is_empty() || hook.endpoint.is_empty() {
        return Err(wrong("name and endpoint are required"));
    }
    if url::Url::parse(&hook.endpoint).is_err() {
        return Err(wrong("endpoint is not a valid URL"));
    }
    if events && conditional {
        return Err(wrong("subscriptions cannot mix event types and conditional_ticket_events"));
    }
    if events && (hook.method != "POST" || hook.format != "json") {
        return Err(wrong("event subscriptions need http_method POST and request_format json"));
    }
    Ok(())
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let id = ulid(caller.now_ms, world.chance.random());
    let nanos = world.chance.random_range(0..1_000_000_000);
    let created_at = format!("{}.{nanos:09}Z", caller.now.to_string().trim_end_matches('Z'));
    let clone = req.q("clone_webhook_id").and_then(|id| world.hooks.all.get(id)).cloned();
    let secret = new_secret(world);
    let mut hook = clone.unwrap_or_else(|| Webhook {
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
        created_at: String::new(),
        created_by: String::new(),
        updated: None,
        invocations: VecDeque::new(),
        breaker: Breaker::default(),
    });
    if !hook.name.is_empty() {
        hook.name.push_str(" (copy)");
    }
    (hook.id, hook.secret, hook.created_at) = (id.clone(), secret, created_at);
    hook.created_by = caller.user_id.to_string();
    hook.invocations.clear();
    hook.breaker = Breaker::default();
    apply(&mut hook, &req.body["webhook"]);
    if let Err(reply) = check(&hook) {
        return reply;
    }
    let body = json!({"webhook": hook.as_rest()});
    world.hooks.all.insert(id, hook);
    Reply::json(201, &body)
}

fn apply(hook: &mut Webhook, given: &Value) {
    let texts = [
        ("name", &mut hook.name),
        ("endpoint", &mut hook.endpoint),
        ("http_method", &mut hook.method),
        ("request_format", &mut hook.format),
    ];
    for (key, place) in texts {
        if given[key].is_string() {
            *place = words(&given[key]);
        }
    }
    if let Some(status) = given["status"].as_str() {
        hook.active = status == "active";
    }
    if given.get("description").is_some() {
        hook.description = given["description"].as_str().map(str::to_owned);
    }
    if let Some(list) = given["subscriptions"].as_array() {
        hook.subscriptions = list.iter().map(words).collect();
    }
    if given.get("authentication").is_some() {
        hook.authentication = Some(given["authentication"].clone()).filter(|value| !value.is_null());
    }
    if let Some(headers) = given["custom_headers"].as_object() {
        hook.custom_headers = headers.iter().map(|(name, value)| (name.clone(), words(value))).collect();
    }
}

fn change(world: &mut World, caller: &Caller, req: &Req, id: &str, whole: bool) -> Reply {
    let Some(mut hook) = world.hooks.all.get(id).cloned() else { return missing() };
    let given = &req.body["webhook"];
    if whole && (given["name"].as_str().is_none() || given["endpoint"].as_str().is_none()) {
        return wrong("name and endpoint are required");
    }
    let was_conditional = hook.subscriptions.iter().any(|s| s == "conditional_ticket_events");
    apply(&mut hook, given);
    let is_conditional = hook.subscriptions.iter().any(|s| s == "conditional_ticket_events");
    if was_conditional != is_conditional {
        return wrong("the kind of a webhook cannot be changed");
    }
    if let Err(reply) = check(&hook) {
        return reply;
    }
    hook.updated = Some((caller.now.to_string(), caller.user_id.to_string()));
    world.hooks.all.insert(id.to_owned(), hook);
    Reply::nothing()
}

fn invocations(world: &World, req: &Req, id: &str) -> Reply {
    let Some(hook) = world.hooks.all.get(id) else { return missing() };
    let size = req.number("page[size]").unwrap_or(100).clamp(1, 100) as usize;
    let status = req.q("filter[status]");
    let newest = hook.invocations.iter().rev().filter(|i| status.is_none_or(|status| i.status == status));
    let all: Vec<_> = newest.collect();
    let after = req.q("page[after]").and_then(|cursor| STANDARD.decode(cursor).ok());
    let after = after.and_then(|bytes| String::from_utf8(bytes).ok());
    let from = after.map_or(0, |after| all.iter().position(|i| i.id == after).map_or(all.len(), |place| place + 1));
    let until = (from + size).min(all.len());
    let row = |invocation: &&crate::world::hooks::Invocation| {
        let mut row = json!({"id": invocation.id, "status": invocation.status,
            "latest_completed_at": invocation.completed_at});
        if let Some(code) = invocation.status_code {
            row["status_code"] = code.into();
        }
        row
    };
    let rows: Vec<_> = all[from..until].iter().map(row).collect();
    let mut body = json!({"meta": {"has_more": until < all.len()}, "invocations": rows});
    if until < all.len() {
        let cursor = STANDARD.encode(&all[until - 1].id);
        let next = format!("{}:443/api/v2/webhooks/{id}/invocations?page[after]={cursor}", world.host);
        body["meta"]["after_cursor"] = cursor.into();
        body["links"] = json!({ "next": next });
    }
    Reply::ok(&body)
}
