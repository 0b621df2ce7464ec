//! OAuth: the consent page, grants, and tokens and clients as records.
pub mod authorize;
pub mod clients;
pub mod grant;
pub mod tokens;

use crate::http::{Caller, Reply, Req};
use crate::world::World;

/// Answers `/oauth/...`, where nobody signs in by a header.
pub fn front(world: &mut World, caller: &Caller, req: &Req) -> Option<Reply> {
    match (req.method.as_str(), req.path.as_str()) {
        ("POST", "/oauth/tokens") => Some(grant::grant(world, caller.now, req)),
        ("GET", "/oauth/authorizations/new") => Some(authorize::ask(world, req)),
        ("POST", "/oauth/authorizations") => Some(authorize::decide(world, caller.now, &req.body)),
        _ => None,
    }
}

/// Answers `/api/v2/oauth/...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    match *parts.get(1)? {
        "tokens" => tokens::route(world, caller, req, &parts[2..]),
        "clients" => clients::route(world, caller, req, &parts[2..]),
        "global_clients" => clients::global(world, caller, req),
        _ => None,
    }
}
