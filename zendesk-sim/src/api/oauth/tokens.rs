//! `/api/v2/oauth/tokens`: access tokens as records. One's own, or everybody's for an admin.
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::tokens::{NewToken, Token};
use crate::world::user::Role;
use serde_json::{Value, json};

/// Answers `/api/v2/oauth/tokens...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    match (req.method.as_str(), rest) {
        ("GET", []) => Some(list(world, caller, req)),
        ("POST", []) => Some(create(world, caller, req)),
        ("GET", [id]) => {
            let token = find(world, caller, id);
            Some(
                token.map_or_else(Reply::not_found, |token| {
                    Reply::ok(&json!({"token": token_json(world, &token, false)}))
                }),
            )
        }
        ("DELETE", [id]) => Some(match find(world, caller, id) {
            Some(token) => {
                world.tokens.revoke(token.id);
                Reply::nothing()
            }
            None => Reply::not_found(),
        }),
        _ => None,
    }
}

fn find(world: &World, caller: &Caller, id: &str) -> Option<Token> {
    let id = if id == "current" { caller.token_id? } else { id.parse().ok()? };
    let mine = |token: &&Token| token.user_id == caller.user_id || caller.role == Role::Admin;
    world.tokens.oauth.iter().filter(mine).find(|token| token.id == id && !token.revoked).cloned()
}

fn list(world: &World, caller: &Caller, req: &Req) -> Reply {
    let all = req.q("all") == Some("true");
    if all && caller.role != Role::Admin {
        return Reply::forbidden();
    }
    let client = req.number("client_id").or_else(|| req.number("global_client_id"));
    let wanted = |token: &&Token| {
        !token.revoked
            && (all || token.user_id == caller.user_id)
            && client.is_none_or(|client| client == token.client_id)
    };
    let found: Vec<&Token> = world.tokens.oauth.iter().filter(wanted).collect();
    let list = List { name: "tokens", host: &world.host, ids: found.iter().map(|token| token.id).collect() };
    list.page(req, |id| {
        found.iter().find(|token| token.id == id).map_or(Value::Null, |token| token_json(world, token, false))
    })
}

/// A token without a grant: it does not end by itself, and is not renewed.
fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let client = req.body["token"]["client_id"].as_i64();
    let Some(client) = world.tokens.clients.iter().find(|known| Some(known.id) == client) else {
        return Reply::not_found();
    };
    let scopes: Vec<String> = serde_json::from_value(req.body["token"]["scopes"].clone()).unwrap_or_default();
    let scopes = if scopes.is_empty() { vec!["read".into(), "write".into()] } else { scopes };
    let new =
        NewToken { client_id: client.id, user_id: caller.user_id, scopes, expires_at: None, refresh_expires_at: None };
    let token = world.new_token(new, caller.now);
    Reply::json(201, &json!({"token": token_json(world, &token, true)}))
}

/// A token as a record: in full only where it was just made.
pub fn token_json(world: &World, token: &Token, full: bool) -> Value {
    let shown = |secret: &String| if full { secret.clone() } else { secret.chars().take(10).collect() };
    let mut record = json!({"id": token.id, "url": format!("{}/api/v2/oauth/tokens/{}.json", world.host, token.id),
        "client_id": token.client_id, "user_id": token.user_id, "token": shown(&token.secret),
        "scopes": token.scopes, "created_at": token.created_at, "expires_at": token.expires_at});
    if let Some(refresh) = &token.refresh {
        record["refresh_token"] = shown(refresh).into();
    }
    if let Some(used_at) = token.used_at {
        record["used_at"] = json!(used_at);
    }
    record
}
