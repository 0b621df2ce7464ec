//! `POST /oauth/tokens`: a code, a refresh token or a client's own name and secret become an access token.
use crate::http::{Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::tokens::{NewToken, OauthClient, Token};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;

const LIFETIMES: RangeInclusive<i64> = 300..=172_800;
const REFRESH_LIFETIMES: RangeInclusive<i64> = 604_800..=7_776_000;
const USUAL_REFRESH_LIFETIME: i64 = 2_592_000;
const NO_GRANT: &str = "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI \
                        used in the authorization request, or was issued to another client.";

/// Why no token is given: OAuth's own name, and words.
type Refused = (&'static str, &'static str);

/// Answers `POST /oauth/tokens`, whose body is JSON or a form.
pub fn grant(world: &mut World, now: Stamp, req: &Req) -> Reply {
    match granted(world, now, req) {
        Ok(body) => Reply::ok(&body),
        Err((error, words)) => {
            let status = if error == "invalid_client" { 401 } else { 400 };
            Reply::json(status, &json!({"error": error, "error_description": words}))
        }
    }
}

fn granted(world: &mut World, now: Stamp, req: &Req) -> Result<Value, Refused> {
    let given = |name: &str| req.body[name].as_str().unwrap_or_default();
    let client = world.tokens.client(given("client_id")).filter(|client| knows_itself(client, given("client_secret")));
    let client = client.cloned().ok_or((
        "invalid_client",
        "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.",
    ))?;
    let seconds = within(&req.body["expires_in"], LIFETIMES)
        .map_err(|()| ("invalid_request", "expires_in must be between 300 and 172800"))?;
    let renewable = within(&req.body["refresh_token_expires_in"], REFRESH_LIFETIMES)
        .map_err(|()| ("invalid_request", "refresh_token_expires_in must be between 604800 and 7776000"))?;
    let (user_id, scopes, renewed) = match given("grant_type") {
        "authorization_code" => by_code(world, &client, now, req)?,
        "refresh_token" => {
            let found = by_refresh(world, &client, now, given("refresh_token"));
            *(if found.is_ok() { &mut world.tokens.refreshes } else { &mut world.tokens.refused_refreshes }) += 1;
            found?
        }
        "client_credentials" if client.public => {
            return Err(("unauthorized_client", "The client is not authorized to use this grant type"));
        }
        "client_credentials" => (client.user_id, scopes_of(given("scope"), "read write"), false),
        _ => return Err(("unsupported_grant_type", "The authorization grant type is not supported")),
    };
    let until = renewed.then(|| now.plus(renewable.unwrap_or(USUAL_REFRESH_LIFETIME)));
    let new = NewToken {
        client_id: client.id,
        user_id,
        scopes,
        expires_at: Some(now.plus(seconds.unwrap_or(*LIFETIMES.end()))),
        refresh_expires_at: until,
    };
    Ok(told(&world.new_token(new, now), seconds, renewable))
}

/// The answer. Lifetimes are told only to who asked for one.
fn told(token: &Token, seconds: Option<i64>, renewable: Option<i64>) -> Value {
    let mut body = json!({"access_token": token.secret, "token_type": "bearer", "scope": token.scopes.join(" ")});
    if let Some(seconds) = seconds {
        body["expires_in"] = seconds.into();
    }
    if let Some(refresh) = &token.refresh {
        body["refresh_token"] = refresh.as_str().into();
        if let Some(seconds) = renewable {
            body["refresh_token_expires_in"] = seconds.into();
        }
    }
    body
}

fn knows_itself(client: &OauthClient, secret: &str) -> bool {
    client.secret == secret || (client.public && secret.is_empty())
}

/// A number in its range; none when it was left out. Forms bring it as text.
fn within(value: &Value, range: RangeInclusive<i64>) -> Result<Option<i64>, ()> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().map_err(|_| ())?,
        other => other.as_i64().ok_or(())?,
    };
    if range.contains(&number) { Ok(Some(number)) } else { Err(()) }
}

/// Scopes out of `read write`; misspelt ones are taken as they are.
pub fn scopes_of(text: &str, usual: &str) -> Vec<String> {
    let text = if text.trim().is_empty() { usual } else { text };
    text.split_whitespace().map(str::to_owned).collect()
}

fn by_code(
    world: &mut World,
    client: &OauthClient,
    now: Stamp,
    req: &Req,
) -> Result<(i64, Vec<String>, bool), Refused> {
    let given = |name: &str| req.body[name].as_str().unwrap_or_default();
    let code =
        world.tokens.codes.iter_mut().find(|code| code.code == given("code")).ok_or(("invalid_grant", NO_GRANT))?;
    let verifier = given("code_verifier");
    let proven = match &code.challenge {
        Some(challenge) => *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        None => verifier.is_empty(),
    };
    let good = !code.used
        && now < code.expires_at
        && code.client_id == client.id
        && code.redirect_uri == given("redirect_uri")
        && proven;
    if !good {
        return Err(("invalid_grant", NO_GRANT));
    }
    code.used = true;
    Ok((code.user_id, code.scopes.clone(), true))
}

/// A refresh ends the token it renews, and the refresh token with it.
fn by_refresh(
    world: &mut World,
    client: &OauthClient,
    now: Stamp,
    secret: &str,
) -> Result<(i64, Vec<String>, bool), Refused> {
    let old = world.tokens.oauth.iter_mut().find(|token| {
        !token.revoked
            && token.client_id == client.id
            && token.refresh.as_deref() == Some(secret)
            && token.refresh_expires_at.is_some_and(|end| now < end)
    });
    let old = old.ok_or(("invalid_grant", NO_GRANT))?;
    old.revoked = true;
    Ok((old.user_id, old.scopes.clone(), true))
}
