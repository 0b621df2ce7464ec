//! Credentials at the admin door: made, taken back, looked at; and a person's consent without a browser.
use crate::api::oauth::authorize;
use crate::http::{Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::tokens::{NewToken, Token};
use crate::world::user::Role;
use serde_json::{Value, json};

/// Answers `/_sim/tokens` and `/_sim/consent`.
pub fn answer(world: &mut World, req: &Req, now: Stamp) -> Reply {
    match (req.method.as_str(), req.parts.last().map(String::as_str)) {
        ("GET", Some("tokens")) => state(world, now),
        ("POST", Some("tokens")) if req.body["revoke"].is_string() => revoke(world, &req.body),
        ("POST", Some("tokens")) if req.body["expire"].is_string() => expire(world, &req.body, now),
        ("POST", Some("tokens")) => make(world, &req.body, now),
        ("POST", Some("consent")) => consent(world, req, now),
        _ => Reply::no_endpoint(),
    }
}

/// Takes tokens back: `revoke` is a token, `"all"`, or `"api"`.
fn revoke(world: &mut World, body: &Value) -> Reply {
    let which = body["revoke"].as_str().unwrap_or_default();
    let mut revoked = 0;
    for token in world.tokens.oauth.iter_mut().filter(|token| which == "all" || token.secret == which) {
        token.revoked = true;
        revoked += 1;
    }
    if which == "all" || which == "api" {
        revoked += world.tokens.api.len();
        world.tokens.api.clear();
    } else {
        world.tokens.api.retain(|token| token != which);
    }
    Reply::ok(&json!({ "revoked": revoked }))
}

/// Ends an access token before its time; what renews it stays good.
fn expire(world: &mut World, body: &Value, now: Stamp) -> Reply {
    match world.tokens.oauth.iter_mut().find(|token| body["expire"] == token.secret.as_str()) {
        Some(token) => token.expires_at = Some(now),
        None => return Reply::not_found(),
    }
    Reply::ok(&json!({"expired": 1}))
}

fn holder(world: &World, body: &Value) -> Option<i64> {
    let role = body["role"].as_str().and_then(Role::parse).unwrap_or(Role::Admin);
    world.users.values().find(|user| user.active && user.role == role).map(|user| user.id)
}

/// Makes a token for somebody of a role.
fn make(world: &mut World, body: &Value, now: Stamp) -> Reply {
    let Some(holder) = holder(world, body) else { return Reply::not_found() };
    let scopes: Vec<String> =
        serde_json::from_value(body["scopes"].clone()).unwrap_or_else(|_| vec!["read".into(), "write".into()]);
    let new = NewToken {
        client_id: world.tokens.clients.first().map_or(0, |client| client.id),
        user_id: holder,
        scopes,
        expires_at: body["expires_in"].as_i64().map(|seconds| now.plus(seconds)),
        refresh_expires_at: (body["renewable"] == true).then(|| now.plus(30 * 86_400)),
    };
    let token = world.new_token(new, now);
    let api_token = match body["api_token"] {
        Value::Bool(true) => {
            let secret = token.secret[..40].to_owned();
            world.tokens.api.push(secret.clone());
            Some(secret)
        }
        _ => None,
    };
    let email = world.users.get(&holder).and_then(|user| user.email.clone());
    Reply::ok(&json!({"id": token.id, "token": token.secret, "refresh_token": token.refresh, "api_token": api_token,
        "user_id": holder, "email": email, "role": token.role, "scopes": token.scopes, "expires_at": token.expires_at}))
}

/// Every live token in full, and what became of refreshes.
fn state(world: &World, now: Stamp) -> Reply {
    let live = |token: &&Token| !token.revoked;
    let rows: Vec<Value> = world
        .tokens
        .oauth
        .iter()
        .filter(live)
        .map(|token| {
            json!({"id": token.id, "client_id": token.client_id, "user_id": token.user_id, "token": token.secret,
                "refresh_token": token.refresh, "scopes": token.scopes, "expires_at": token.expires_at,
                "refresh_token_expires_at": token.refresh_expires_at, "expired": token.expires_at.is_some_and(|end| end <= now)})
        })
        .collect();
    Reply::ok(&json!({"rows": rows, "made": world.tokens.made, "refreshes": world.tokens.refreshes,
        "refused_refreshes": world.tokens.refused_refreshes}))
}

/// Answers the consent page at `url` for a person: `role` or `user_id`, `allow` false to deny. Answers where the browser
/// is sent.
fn consent(world: &mut World, req: &Req, now: Stamp) -> Reply {
    let Some(url) = req.body["url"].as_str().and_then(|text| url::Url::parse(text).ok()) else {
        return Reply::bad("BadRequest", "url is missing");
    };
    let mut body: Value = url.query_pairs().map(|(key, value)| (key.into_owned(), Value::from(value))).collect();
    let person = req.body["user_id"].as_i64().or_else(|| holder(world, &req.body));
    body["user_id"] = json!(person.map(|id| id.to_string()));
    body["decision"] = json!(if req.body["allow"] == false { "deny" } else { "allow" });
    let reply = authorize::decide(world, now, &body);
    match reply.headers.iter().find(|(name, _)| name == "location") {
        Some((_, location)) => Reply::ok(&json!({ "location": location })),
        None => reply,
    }
}
