//! `/uploads` and `/attachments`.
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use serde_json::json;

/// Answers `/uploads...`.
pub fn route(world: &mut World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    match (req.method.as_str(), rest) {
        ("POST", []) => Some(receive(world, caller, req)),
        ("DELETE", [token]) => Some(match world.take_upload(caller.now, token) {
            Some(_) => Reply::nothing(),
            None => Reply::not_found(),
        }),
        _ => None,
    }
}

fn receive(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let Some(name) = req.q("filename").filter(|name| !name.is_empty()) else {
        return Reply::invalid(req, "filename", "a string");
    };
    let size = req.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let kind = req.header("content-type").unwrap_or_default();
    let Some(token) = world.upload(caller.now, name, kind, size, req.q("token")) else { return Reply::not_found() };
    let upload = &world.uploads[&token];
    let views: Vec<_> = upload.files.iter().map(|file| file.view(&world.host)).collect();
    let told = json!({"upload": {"token": token, "expires_at": upload.expires_at, "attachments": views,
        "attachment": views.last()}});
    Reply::json(201, &told)
}

/// Answers `/attachments/{id}`.
pub fn attachment(world: &World, req: &Req, rest: &[&str]) -> Option<Reply> {
    let ("GET", [id]) = (req.method.as_str(), rest) else { return None };
    let found = world.attachment(id.parse().ok()?);
    Some(found.map_or_else(Reply::not_found, |file| Reply::ok(&json!({"attachment": file.view(&world.host)}))))
}
