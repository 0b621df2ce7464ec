//! What an admin, or Zendesk itself, does to webhooks behind their owner's back; and events that no act causes.
use crate::api::webhooks;
use crate::deliver::ulid::ulid;
use crate::http::Reply;
use crate::time::Stamp;
use crate::world::World;
use crate::world::event_types;
use crate::world::hooks::Trigger;
use rand::RngExt;
use serde_json::{Value, json};

/// Whether an act is one of these: `delete_webhook`, `edit_webhook`, `deactivate_webhook`, `rotate_webhook_secret`,
/// `clone_webhook`, `trip_breaker`, `set_trigger`, `announce`.
pub fn is_one(given: &Value) -> bool {
    let name = given["do"].as_str().unwrap_or_default();
    name.contains("webhook") || matches!(name, "trip_breaker" | "set_trigger" | "announce")
}

/// Does it. `webhook_id` may be left out where there is one webhook only.
pub fn answer(world: &mut World, given: &Value, now_ms: i64) -> Reply {
    let now = Stamp(now_ms.div_euclid(1000));
    let name = given["do"].as_str().unwrap_or_default();
    if name == "announce" {
        return announce(world, given, now);
    }
    let only = world.hooks.all.keys().next().filter(|_| world.hooks.all.len() == 1);
    let id = given["webhook_id"].as_str().map(str::to_owned).or_else(|| only.cloned());
    let Some(id) = id.filter(|id| world.hooks.all.contains_key(id)) else { return webhooks::missing() };
    // What Zendesk does itself is done by the user -1.
    let by = given["by"].as_i64().unwrap_or_else(|| if name == "deactivate_webhook" { -1 } else { world.admin_id() });
    let off = json!({"status": "inactive"});
    let changes = match name {
        "edit_webhook" => Some(&given["changes"]),
        "deactivate_webhook" => Some(&off),
        _ => None,
    };
    if let Some(changes) = changes {
        return match world.change_webhook(&id, changes, false, now, by) {
            Some(Err(problems)) => Reply::bad("InvalidWebhook", &problems.join("; ")),
            _ => Reply::ok(&world.hooks.all[&id].as_rest()),
        };
    }
    match name {
        "delete_webhook" => Reply::ok(&json!({"deleted": world.remove_webhook(&id)})),
        "rotate_webhook_secret" => Reply::ok(&json!({"rotated": world.rotate_webhook_secret(&id)})),
        "clone_webhook" => copy(world, given, &id, now_ms),
        "trip_breaker" => {
            let seconds = given["seconds"].as_i64().unwrap_or(5);
            if let Some(hook) = world.hooks.all.get_mut(&id) {
                hook.breaker.trip(now_ms + seconds * 1000);
            }
            world.hooks.breaker = true;
            Reply::ok(&json!({"open_for": seconds}))
        }
        "set_trigger" => {
            let on = |event: &str| given["on"].as_array().is_none_or(|on| on.iter().any(|word| word == event));
            let body = given["body"].as_str().unwrap_or_default().to_owned();
            let (on_create, on_update) = (on("create"), on("update"));
            world.hooks.triggers.push(Trigger { webhook_id: id, on_create, on_update, body });
            Reply::ok(&json!({"triggers": world.hooks.triggers.len()}))
        }
        _ => Reply::bad("BadRequest", &format!("no act is called {name:?}")),
    }
}

/// An exact copy under another id and with another secret; with `name`, under that name.
fn copy(world: &mut World, given: &Value, id: &str, now_ms: i64) -> Reply {
    let mut hook = world.hooks.all[id].clone();
    hook.id = ulid(now_ms, world.chance.random());
    hook.name = given["name"].as_str().map_or_else(|| format!("{} (copy)", hook.name), str::to_owned);
    hook.log.clear();
    let copy_id = hook.id.clone();
    world.hooks.all.insert(copy_id.clone(), hook);
    world.rotate_webhook_secret(&copy_id);
    Reply::ok(&world.hooks.all[&copy_id].as_rest())
}

fn announce(world: &mut World, given: &Value, now: Stamp) -> Reply {
    let kind = given["type"].as_str().unwrap_or_default();
    let event = if given["event"].is_object() { given["event"].clone() } else { json!({}) };
    if !event_types::exists(kind) {
        return Reply::bad("BadRequest", &format!("no event type is called {kind:?}"));
    }
    match world.announce(kind, given["id"].as_i64().unwrap_or_default(), now, event) {
        true => Reply::ok(&json!({"announced": kind})),
        false => Reply::not_found(),
    }
}
