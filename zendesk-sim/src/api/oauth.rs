//! Access tokens: the client-credentials and refresh grants, and what a token says of itself.
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::tokens::Token;
use crate::world::user::Role;
use rand::RngExt;
use serde_json::{Value, json};

const LONGEST: i64 = 172_800;
const SHORTEST: i64 = 300;

/// Answers `POST /oauth/tokens`.
pub fn grant(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    if req.method != "POST" {
        return Reply::no_endpoint();
    }
    let refuse = |error: &str, words: &str| {
        Reply::json(
            if error == "invalid_client" { 401 } else { 400 },
            &json!({"error": error, "error_description": words}),
        )
    };
    let given = |name: &str| req.body[name].as_str().unwrap_or_default();
    if given("client_id") != world.tokens.client_id || given("client_secret") != world.tokens.client_secret {
        return refuse("invalid_client", "Client authentication failed");
    }
    let scopes: Vec<String> = match given("scope") {
        "" => vec!["read".into(), "write".into()],
        text => text.split_whitespace().map(str::to_owned).collect(),
    };
    let seconds = req.body["expires_in"].as_i64().unwrap_or(LONGEST);
    if !(SHORTEST..=LONGEST).contains(&seconds) {
        return refuse("invalid_request", "expires_in must be between 300 and 172800");
    }
    let (user_id, role, scopes, renewable) = match given("grant_type") {
        "client_credentials" => (world.admin_id(), Role::Admin, scopes, false),
        "refresh_token" => {
            let secret = given("refresh_token").to_owned();
            let mut all = world.tokens.oauth.iter_mut();
            match all.find(|token| !token.revoked && token.refresh.as_deref() == Some(secret.as_str())) {
                Some(old) => {
                    // A refresh ends the token it renews.
                    old.revoked = true;
                    (old.user_id, old.role, old.scopes.clone(), true)
                }
                None => return refuse("invalid_grant", "The refresh token is invalid, expired or revoked"),
            }
        }
        _ => return refuse("unsupported_grant_type", "The authorization grant type is not supported"),
    };
    let token = world.new_token(user_id, role, scopes, Some(caller.now.plus(seconds)), renewable, caller.now);
    let mut body = json!({"access_token": token.secret, "token_type": "bearer", "scope": token.scopes.join(" "),
        "expires_in": seconds});
    if let Some(refresh) = &token.refresh {
        body["refresh_token"] = refresh.as_str().into();
        body["refresh_token_expires_in"] = (30 * 86_400).into();
    }
    Reply::ok(&body)
}

impl World {
    /// The first admin.
    pub fn admin_id(&self) -> i64 {
        let admin = |id: &&i64| self.users.get(id).is_some_and(|u| u.role == Role::Admin && u.active);
        self.index.agents.iter().find(admin).copied().unwrap_or_default()
    }

    /// Makes an access token.
    pub fn new_token(
        &mut self,
        user_id: i64,
        role: Role,
        scopes: Vec<String>,
        expires_at: Option<crate::time::Stamp>,
        renewable: bool,
        now: crate::time::Stamp,
    ) -> Token {
        let mut secret = || format!("{:032x}{:032x}", self.chance.random::<u128>(), self.chance.random::<u128>());
        let (secret, refresh) = (secret(), renewable.then(&mut secret));
        self.tokens.made += 1;
        let id = self.new_id();
        let token = Token { id, secret, refresh, user_id, role, scopes, created_at: now, expires_at, revoked: false };
        self.tokens.oauth.push(token.clone());
        token
    }
}

/// Answers `/api/v2/oauth/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    let find = |world: &World, id: i64| world.tokens.oauth.iter().find(|t| t.id == id && !t.revoked).cloned();
    match (req.method.as_str(), &parts[1..]) {
        ("GET", ["tokens", "current"]) => {
            let token = caller.token_id.and_then(|id| find(world, id));
            Some(token.map_or_else(Reply::not_found, |t| Reply::ok(&json!({"token": token_json(world, &t, caller)}))))
        }
        ("DELETE", ["tokens", id]) => {
            let id = match *id {
                "current" => caller.token_id?,
                id => id.parse().ok()?,
            };
            let token = world.tokens.oauth.iter_mut().find(|t| t.id == id);
            Some(match token {
                Some(token) => {
                    token.revoked = true;
                    Reply::nothing()
                }
                None => Reply::not_found(),
            })
        }
        _ => None,
    }
}

fn token_json(world: &World, token: &Token, caller: &Caller) -> Value {
    json!({"id": token.id, "url": format!("{}/api/v2/oauth/tokens/{}.json", world.host, token.id),
        "client_id": crate::world::ID_BASE + 71, "user_id": token.user_id,
        "token": token.secret.chars().take(10).collect::<String>(), "refresh_token": null,
        "scopes": token.scopes, "created_at": token.created_at, "used_at": caller.now,
        "expires_at": token.expires_at})
}
