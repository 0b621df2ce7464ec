//! The consent page: a person allows a client to act for them, or does not. Nobody signs in here: the form asks who one is.
use super::grant::scopes_of;
use crate::http::{Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::tokens::{Code, OauthClient};
use crate::world::user::Role;
use serde_json::Value;

/// How long a code lives, in seconds.
const CODE_LIFETIME: i64 = 120;

/// A request for consent, checked.
struct Wish<'a> {
    client: &'a OauthClient,
    redirect_uri: &'a str,
    state: Option<&'a str>,
    scope: &'a str,
    challenge: Option<&'a str>,
}

/// Answers `GET /oauth/authorizations/new`: the page, or a redirect with an error.
pub fn ask(world: &World, req: &Req) -> Reply {
    match wish(world, |name| req.q(name)) {
        Ok(wish) => Reply::text(200, "text/html; charset=utf-8", &page(world, &wish, req)),
        Err(reply) => reply,
    }
}

/// Answers the form: `allow` or `deny`, by the person in `user_id`.
pub fn decide(world: &mut World, now: Stamp, form: &Value) -> Reply {
    let given = |name: &str| form[name].as_str();
    let wish = match wish(world, given) {
        Ok(wish) => wish,
        Err(reply) => return reply,
    };
    let location = |pairs: &[(&str, &str)]| back(wish.redirect_uri, pairs, wish.state);
    if given("decision") != Some("allow") {
        let words = "The end-user or authorization server denied the request.";
        return redirect(&location(&[("error", "access_denied"), ("error_description", words)]));
    }
    let id = given("user_id").and_then(|id| id.parse().ok()).unwrap_or_else(|| world.admin_id());
    if !world.users.get(&id).is_some_and(|user| user.active && !user.suspended) {
        return refuse("This user cannot sign in.");
    }
    let (client_id, redirect_uri) = (wish.client.id, wish.redirect_uri.to_owned());
    let (scopes, challenge) = (scopes_of(wish.scope, "read"), wish.challenge.map(str::to_owned));
    let state = wish.state.map(str::to_owned);
    let code = world.new_secret();
    world.tokens.codes.push(Code {
        code: code.clone(),
        client_id,
        user_id: id,
        scopes,
        redirect_uri: redirect_uri.clone(),
        challenge,
        expires_at: now.plus(CODE_LIFETIME),
        used: false,
    });
    redirect(&back(&redirect_uri, &[("code", &code)], state.as_deref()))
}

/// Checks a request. What is wrong with client or address is shown here, since nobody must be sent to an address that is
/// not the client's; the rest is told to the client.
fn wish<'a>(world: &'a World, given: impl Fn(&str) -> Option<&'a str>) -> Result<Wish<'a>, Reply> {
    let Some(client) = given("client_id").and_then(|name| world.tokens.client(name)) else {
        return Err(refuse("Invalid Authorization Request: No such client"));
    };
    let redirect_uri = given("redirect_uri").unwrap_or_default();
    if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
        return Err(refuse("Invalid Authorization Request: Mismatched redirect_uri"));
    }
    let state = given("state");
    let told = |error: &str, words: &str| {
        Err(redirect(&back(redirect_uri, &[("error", error), ("error_description", words)], state)))
    };
    if given("response_type") != Some("code") {
        return told("unsupported_response_type", "The response type is not supported");
    }
    let challenge = given("code_challenge").filter(|text| !text.is_empty());
    match (challenge, given("code_challenge_method")) {
        (None, _) if client.public => return told("invalid_request", "PKCE is required for public clients"),
        (Some(_), Some(method)) if method != "S256" => {
            return told("invalid_request", "code_challenge_method must be S256");
        }
        (Some(text), _) if text.len() != 43 => return told("invalid_request", "code_challenge is malformed"),
        _ => {}
    }
    let scope = given("scope").unwrap_or_default();
    if scope.trim().is_empty() {
        return told("invalid_scope", "The requested scope is missing");
    }
    Ok(Wish { client, redirect_uri, state, scope, challenge })
}

fn page(world: &World, wish: &Wish, req: &Req) -> String {
    let hidden: String = req
        .query
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", text(name), text(value)))
        .collect();
    let people: String = world
        .index
        .agents
        .iter()
        .filter_map(|id| world.users.get(id))
        .filter(|user| user.active && !user.suspended)
        .map(|user| {
            let chosen = if user.id == world.admin_id() { " selected" } else { "" };
            let role = if user.role == Role::Admin { "admin" } else { "agent" };
            format!("<option value=\"{}\"{chosen}>{} ({role})</option>\n", user.id, text(&user.name))
        })
        .collect();
    let scopes: String = wish.scope.split_whitespace().map(|scope| format!("<li>{}</li>", text(scope))).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Allow access?</title></head><body>\n\
         <h1>{name}</h1>\n<p>{company}wants to use {host} as you, for:</p>\n<ul>{scopes}</ul>\n\
         <form method=\"post\" action=\"/oauth/authorizations\">\n{hidden}\
         <label>You are <select name=\"user_id\">\n{people}</select></label>\n\
         <button name=\"decision\" value=\"allow\">Allow</button>\n<button name=\"decision\" value=\"deny\">Deny</button>\n\
         </form></body></html>\n",
        name = text(&wish.client.name),
        company = wish.client.company.as_deref().map(|name| format!("{} ", text(name))).unwrap_or_default(),
        host = text(&world.host),
    )
}

fn refuse(words: &str) -> Reply {
    let page = format!("<!DOCTYPE html>\n<html lang=\"en\"><body><h1>{}</h1></body></html>\n", text(words));
    Reply::text(400, "text/html; charset=utf-8", &page)
}

fn redirect(location: &str) -> Reply {
    Reply::text(302, "text/html; charset=utf-8", "<html><body>You are being redirected.</body></html>")
        .with("location", location)
}

fn back(redirect_uri: &str, pairs: &[(&str, &str)], state: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{joint}{}", query.finish())
}

/// Text as HTML.
fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
