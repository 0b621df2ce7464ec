//! `/api/v2/oauth/clients`: software as registered by admins.
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::tokens::OauthClient;
use crate::world::user::Role;
use serde_json::{Value, json};

/// Answers `/api/v2/oauth/clients...`, for admins.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    if caller.role != Role::Admin {
        return Some(Reply::forbidden());
    }
    let place = |world: &World, id: &str| {
        let id: i64 = id.parse().ok()?;
        world.tokens.clients.iter().position(|client| client.id == id)
    };
    let known = rest.first().map(|id| place(world, id));
    let reply = match (req.method.as_str(), rest, known.flatten()) {
        ("GET", [], _) => list(world, req),
        ("POST", [], _) => create(world, caller, req),
        (_, [_, ..], None) => Reply::not_found(),
        ("GET", [_], Some(place)) => one(200, world, &world.tokens.clients[place], false),
        ("PUT" | "PATCH", [_], Some(place)) => {
            if let Some(wrong) = wrong(world, &req.body["client"], Some(place)) {
                return Some(wrong);
            }
            write(&mut world.tokens.clients[place], &req.body["client"], caller.now);
            one(200, world, &world.tokens.clients[place], false)
        }
        ("PUT", [_, "generate_secret"], Some(place)) => {
            world.tokens.clients[place].secret = world.new_secret();
            one(200, world, &world.tokens.clients[place], true)
        }
        ("DELETE", [_], Some(place)) => {
            let gone = world.tokens.clients.remove(place);
            for token in world.tokens.oauth.iter_mut().filter(|token| token.client_id == gone.id) {
                token.revoked = true;
            }
            Reply::nothing()
        }
        _ => return None,
    };
    Some(reply)
}

/// Answers `/api/v2/oauth/global_clients`: nobody here has authorized one.
pub fn global(world: &World, caller: &Caller, req: &Req) -> Option<Reply> {
    if caller.role != Role::Admin {
        return Some(Reply::forbidden());
    }
    let list = List { name: "global_clients", host: &world.host, ids: Vec::new() };
    (req.method == "GET" && req.parts.len() == 2).then(|| list.page(req, |_| Value::Null))
}

fn list(world: &World, req: &Req) -> Reply {
    let clients = &world.tokens.clients;
    let list = List { name: "clients", host: &world.host, ids: clients.iter().map(|client| client.id).collect() };
    list.page(req, |id| {
        clients.iter().find(|client| client.id == id).map_or(Value::Null, |client| as_json(world, client, false))
    })
}

fn create(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let given = &req.body["client"];
    if let Some(wrong) = wrong(world, given, None) {
        return wrong;
    }
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let client = world.new_client(&text("identifier"), &text("name"), caller.user_id, caller.now);
    write(client, given, caller.now);
    let client = client.clone();
    one(201, world, &client, true)
}

/// The 422, if something is wrong with what was given.
fn wrong(world: &World, given: &Value, place: Option<usize>) -> Option<Reply> {
    let blank = |name: &str| match (&given[name], place) {
        (Value::Null, Some(_)) => false,
        (value, _) => value.as_str().unwrap_or_default().trim().is_empty(),
    };
    let identifier = given["identifier"].as_str().unwrap_or_default();
    let taken = |(other, client): (usize, &OauthClient)| client.identifier == identifier && place != Some(other);
    let bad_address = |address: &str| {
        let local = ["http://localhost", "http://127.0.0.1"].iter().any(|start| address.starts_with(start));
        !local && !address.starts_with("https://")
    };
    let (field, error, words) = if blank("name") {
        ("name", "BlankValue", "Name: cannot be blank")
    } else if blank("identifier") {
        ("identifier", "BlankValue", "Identifier: cannot be blank")
    } else if world.tokens.clients.iter().enumerate().any(taken) {
        ("identifier", "DuplicateValue", "Identifier: has already been taken")
    } else if addresses(given).iter().flatten().any(|address| bad_address(address)) {
        ("redirect_uri", "InvalidValue", "Redirect uri: must be https, or http on this machine")
    } else if !matches!(given["kind"].as_str(), None | Some("public" | "confidential")) {
        ("kind", "InvalidValue", "Kind: is not included in the list")
    } else {
        return None;
    };
    let details = json!({ field: [{"description": words, "error": error}] });
    Some(Reply::json(
        422,
        &json!({"error": "RecordInvalid", "description": "Record validation errors", "details": details}),
    ))
}

fn addresses(given: &Value) -> Option<Vec<String>> {
    match &given["redirect_uri"] {
        Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        Value::Array(all) => Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}

fn write(client: &mut OauthClient, given: &Value, now: Stamp) {
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    client.name = text("name").unwrap_or_else(|| client.name.clone());
    client.identifier = text("identifier").unwrap_or_else(|| client.identifier.clone());
    client.company = text("company").or_else(|| client.company.take());
    client.description = text("description").or_else(|| client.description.take());
    client.redirect_uris = addresses(given).unwrap_or_else(|| std::mem::take(&mut client.redirect_uris));
    if let Some(kind) = given["kind"].as_str() {
        client.public = kind == "public";
    }
    client.updated_at = now;
}

fn one(status: u16, world: &World, client: &OauthClient, full: bool) -> Reply {
    Reply::json(status, &json!({"client": as_json(world, client, full)}))
}

fn as_json(world: &World, client: &OauthClient, full: bool) -> Value {
    let secret = if full { client.secret.clone() } else { client.secret.chars().take(10).collect() };
    json!({"id": client.id, "url": format!("{}/api/v2/oauth/clients/{}.json", world.host, client.id),
        "identifier": client.identifier, "name": client.name, "company": client.company.as_deref().unwrap_or_default(),
        "description": client.description.as_deref().unwrap_or_default(), "kind": if client.public { "public" } else { "confidential" },
        "global": false, "redirect_uri": client.redirect_uris, "secret": secret, "user_id": client.user_id,
        "created_at": client.created_at, "updated_at": client.updated_at})
}
