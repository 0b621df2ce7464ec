//! One act by name, for tests that need exactly this to happen.
use crate::acts::organizations::OrganizationPatch;
use crate::acts::ticket_patch::TicketPatch;
use crate::acts::users::UserPatch;
use crate::acts::{By, Refusal, read};
use crate::http::Reply;
use crate::time::Stamp;
use crate::world::World;
use crate::world::rating::Score;
use serde_json::{Value, json};

/// Answers `POST /_sim/act`.
pub fn answer(world: &mut World, given: &Value, now: Stamp) -> Reply {
    match perform(world, given, now) {
        Ok(record) => Reply::ok(&record),
        Err(refusal) => refusal.into(),
    }
}

fn id(given: &Value, name: &str) -> Result<i64, Refusal> {
    let found = given[name].as_i64().or_else(|| given["id"].as_i64());
    found.ok_or_else(|| Refusal::Bad("BadRequest", format!("{name} is missing")))
}

fn perform(world: &mut World, given: &Value, now: Stamp) -> Result<Value, Refusal> {
    let by_id = given["by"].as_i64().unwrap_or_else(|| world.admin_id());
    let by = By { user_id: by_id, channel: "web" };
    let name = given["do"].as_str().unwrap_or_default();
    if name.ends_with("user") || name.ends_with("users") || name == "change_email" {
        return on_user(world, by, given, now, name);
    }
    if name.ends_with("organization") {
        return on_organization(world, by, given, now, name);
    }
    on_ticket(world, by, given, now, name)
}

fn unknown(name: &str) -> Refusal {
    Refusal::Bad("BadRequest", format!("no act is called {name:?}"))
}

/// The patch without the keys that say which record it is for.
fn patch_of(given: &Value) -> Value {
    let mut patch = given.clone();
    if let Some(map) = patch.as_object_mut() {
        map.remove("id");
    }
    patch
}

fn on_user(world: &mut World, by: By, given: &Value, now: Stamp, name: &str) -> Result<Value, Refusal> {
    let user_id = match name {
        "create_user" => world.create_user(by, now, read::<UserPatch>(given)?)?,
        "update_user" => {
            let id = id(given, "user_id")?;
            world.update_user(by, now, id, read::<UserPatch>(&patch_of(given))?)?;
            id
        }
        "change_email" => {
            let id = id(given, "user_id")?;
            world.change_email(by, now, id, given["email"].as_str().unwrap_or_default())?;
            id
        }
        "delete_user" => {
            let id = id(given, "user_id")?;
            world.delete_user(by, now, id)?;
            id
        }
        "permanently_delete_user" => {
            let id = id(given, "user_id")?;
            if world.users.get(&id).is_some_and(|user| user.active) {
                world.delete_user(by, now, id)?;
            }
            world.permanently_delete_user(by, now, id)?;
            id
        }
        "merge_users" => {
            let (loser, winner) = (id(given, "loser")?, id(given, "winner")?);
            world.merge_users(by, now, loser, winner)?;
            winner
        }
        _ => return Err(unknown(name)),
    };
    Ok(world.user_json(user_id))
}

fn on_organization(world: &mut World, by: By, given: &Value, now: Stamp, name: &str) -> Result<Value, Refusal> {
    let organization_id = match name {
        "merge_organization" => {
            let (loser, winner) = (id(given, "loser")?, id(given, "winner")?);
            world.merge_organizations(by, now, loser, winner)?;
            winner
        }
        "create_organization" => world.create_organization(by, now, read::<OrganizationPatch>(given)?)?,
        "update_organization" => {
            let id = id(given, "organization_id")?;
            world.update_organization(by, now, id, read::<OrganizationPatch>(&patch_of(given))?)?;
            id
        }
        "delete_organization" => {
            let id = id(given, "organization_id")?;
            world.delete_organization(by, now, id)?;
            id
        }
        _ => return Err(unknown(name)),
    };
    Ok(world.organization_json(organization_id))
}

fn on_ticket(world: &mut World, by: By, given: &Value, now: Stamp, name: &str) -> Result<Value, Refusal> {
    if name == "create_ticket" {
        let mut patch = read::<TicketPatch>(given)?;
        let requester = patch.requester_id.unwrap_or(by.user_id);
        if patch.comment.is_none() {
            let body = given["body"].as_str().or_else(|| given["subject"].as_str()).unwrap_or("Hello");
            patch.comment = TicketPatch::saying(requester, body, true).comment;
        }
        let by = if given.get("by").is_some() { by } else { By { user_id: requester, ..by } };
        let id = world.create_ticket(by, now, patch)?;
        return Ok(world.ticket_json(id));
    }
    let ticket_id = id(given, "ticket_id")?;
    let comment = || given["comment_id"].as_i64().unwrap_or_default();
    match name {
        "comment" => {
            let author = given["author_id"].as_i64().unwrap_or(by.user_id);
            let public = given["public"].as_bool().unwrap_or(true);
            let mut patch = TicketPatch::saying(author, given["body"].as_str().unwrap_or_default(), public);
            patch.status = read::<TicketPatch>(given)?.status;
            world.update_ticket(By { user_id: author, ..by }, now, ticket_id, patch)?;
        }
        "update_ticket" => {
            let fields = if given["fields"].is_object() { given["fields"].clone() } else { patch_of(given) };
            world.update_ticket(by, now, ticket_id, read::<TicketPatch>(&fields)?)?;
        }
        "close_ticket" => world.close_ticket(now, ticket_id)?,
        "delete_ticket" => world.delete_ticket(by, now, ticket_id)?,
        "restore_ticket" => world.restore_ticket(by, now, ticket_id)?,
        "mark_as_spam" => world.mark_as_spam(by, now, ticket_id)?,
        "permanently_delete_ticket" => {
            if world.tickets.get(&ticket_id).is_some_and(|t| t.deleted.is_none()) {
                world.delete_ticket(by, now, ticket_id)?;
            }
            world.permanently_delete_ticket(by, now, ticket_id)?;
        }
        "redact_comment" => {
            let words = given["text"].as_str().unwrap_or_default();
            world.redact_comment(by, now, ticket_id, comment(), words)?;
        }
        "redact_attachment" => {
            let file = given["attachment_id"].as_i64().unwrap_or_default();
            world.redact_attachment(by, now, ticket_id, comment(), file)?;
        }
        "make_private" => world.make_private(by, now, ticket_id, comment())?,
        "merge_tickets" => {
            let target = id(given, "target_id")?;
            world.merge_tickets(by, now, target, &[ticket_id], [("Merged.", false); 2])?;
        }
        "rate" => {
            let score = given["score"].as_str().and_then(Score::parse).unwrap_or(Score::Good);
            let rating = world.rate(now, ticket_id, score, given["comment"].as_str(), 0)?;
            return Ok(json!(world.ratings[&rating].view(&world.host)));
        }
        _ => return Err(unknown(name)),
    }
    Ok(world.ticket_json(ticket_id))
}
