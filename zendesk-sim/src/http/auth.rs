//! Who asks: Basic with an API token, or Bearer with an access token, or nobody.
use super::{Caller, Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::user::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Finds out who asks; `Err` is the 401.
pub fn authenticate(world: &World, req: &Req, now: Stamp, now_ms: i64) -> Result<Caller, Reply> {
    let nobody = Caller { now, now_ms, user_id: 0, role: Role::EndUser, scopes: None, token_id: None };
    let Some(header) = req.header("authorization") else { return Ok(nobody) };
    let found = match header.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => {
            return bearer(world, secret.trim(), &nobody).ok_or_else(invalid_token);
        }
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("basic") => basic(world, secret.trim(), &nobody),
        _ => None,
    };
    found.ok_or_else(unauthenticated)
}

/// The 401.
pub fn unauthenticated() -> Reply {
    Reply::json(401, &json!({"error": "Couldn't authenticate you"}))
}

/// The 401 for an access token that is not, or no longer, one.
fn invalid_token() -> Reply {
    let words = "The access token provided is expired, revoked, malformed or invalid for other reasons.";
    Reply::json(401, &json!({"error": "invalid_token", "error_description": words}))
}

fn bearer(world: &World, secret: &str, nobody: &Caller) -> Option<Caller> {
    let token = world.tokens.find(secret, nobody.now)?;
    let user = world.users.get(&token.user_id).filter(|user| user.active && !user.suspended)?;
    Some(Caller {
        user_id: token.user_id,
        role: user.role,
        scopes: Some(token.scopes.clone()),
        token_id: Some(token.id),
        ..nobody.clone()
    })
}

fn basic(world: &World, secret: &str, nobody: &Caller) -> Option<Caller> {
    let pair = String::from_utf8(STANDARD.decode(secret).ok()?).ok()?;
    let (who, token) = pair.split_once(':')?;
    let email = who.strip_suffix("/token")?;
    world.tokens.api.iter().find(|known| *known == token)?;
    let id = *world.index.emails.get(&email.to_lowercase())?;
    let user = world.users.get(&id).filter(|user| user.active && !user.suspended)?;
    Some(Caller { user_id: id, role: user.role, ..nobody.clone() })
}

/// The scopes of which a path's resource needs one, where the token has none of them.
pub fn missing(caller: &Caller, req: &Req) -> Option<String> {
    let scopes = caller.scopes.as_ref()?;
    let verb = if req.method == "GET" { "read" } else { "write" };
    let first = req.parts.first().map_or("", String::as_str);
    let resource = match first {
        "incremental" => req.parts.get(1).map_or("", String::as_str),
        "deleted_users" | "user_fields" => "users",
        "deleted_tickets" | "ticket_fields" | "ticket_forms" | "custom_statuses" => "tickets",
        "organization_fields" | "organization_memberships" => "organizations",
        "oauth" => "",
        other => other,
    };
    let resource = if resource == "ticket_events" { "tickets" } else { resource };
    let me = resource == "users" && req.parts.get(1).is_some_and(|part| part == "me");
    let narrow = format!("{resource}:{verb}");
    // A misspelt scope makes a token that is good for nothing.
    let is_token = scopes.iter().any(|scope| is_scope(scope));
    let reaches = me || first == "oauth" || scopes.iter().any(|scope| scope == verb || *scope == narrow);
    (!(is_token && reaches)).then(|| format!("{narrow}, {verb}"))
}

/// What a scope may be limited to.
const RESOURCES: [&str; 16] = [
    "tickets",
    "users",
    "auditlogs",
    "organizations",
    "hc",
    "apps",
    "triggers",
    "automations",
    "targets",
    "webhooks",
    "macros",
    "requests",
    "satisfaction_ratings",
    "dynamic_content",
    "any_channel",
    "web_widget",
];

fn is_scope(scope: &str) -> bool {
    match scope.split_once(':') {
        None => ["read", "write", "impersonate"].contains(&scope),
        Some((resource, verb)) => RESOURCES.contains(&resource) && ["read", "write"].contains(&verb),
    }
}
