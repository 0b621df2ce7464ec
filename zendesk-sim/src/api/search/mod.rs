//! `/search`, `/search/count`, `/search/export`, and the search of users (Z§4).
mod query;
mod values;

use crate::http::page::{List, Ways};
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::ticket::Gone;
use query::Query;
use serde_json::{Value, json};

/// How many results of a search can be reached, and of a search of users.
const REACHABLE: i64 = 1_000;

const KINDS: [&str; 4] = ["ticket", "user", "organization", "group"];

/// Answers `/users/search`.
pub fn users(world: &World, caller: &Caller, req: &Req) -> Reply {
    let ids = match req.q("external_id") {
        Some(external) => world.index.user_external.get(&external.to_lowercase()).copied().into_iter().collect(),
        None => {
            let query = Query::parse(req.q("query").unwrap_or_default());
            find(world, caller, req, &query, "user")
        }
    };
    List { name: "users", host: &world.host, ids }.paged(req, Ways::Number, |id| world.user_json(id))
}

/// Answers `/users/autocomplete`: names and addresses that begin so.
pub fn autocomplete(world: &World, req: &Req) -> Reply {
    let start = req.q("name").unwrap_or_default().to_lowercase();
    if start.chars().count() < 2 && req.q("phone").is_none() {
        return Reply::bad("InvalidValue", "name must be at least 2 characters long");
    }
    let phone = req.q("phone");
    let begins = |text: &str| text.to_lowercase().split_whitespace().any(|word| word.starts_with(&start));
    let wanted = |user: &&crate::world::user::User| match phone {
        Some(phone) => user.phone.as_deref() == Some(phone),
        None => {
            begins(&user.name)
                || user.name.to_lowercase().starts_with(&start)
                || user.email.as_deref().is_some_and(|email| email.to_lowercase().starts_with(&start))
        }
    };
    let found = world.users.values().filter(|user| user.active).filter(wanted).map(|user| user.id);
    let ids = found.take(REACHABLE as usize).collect();
    List { name: "users", host: &world.host, ids }.paged(req, Ways::Number, |id| world.user_json(id))
}

/// Answers `/search...`.
pub fn route(world: &World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    if req.method != "GET" {
        return None;
    }
    let Some(text) = req.q("query") else { return Some(Reply::invalid(req, "query", "a string")) };
    let query = Query::parse(text);
    let export = rest == ["export"];
    let kinds: Vec<&str> = match req.q("filter[type]") {
        Some(kind) if export => vec![kind],
        None if export => return Some(Reply::invalid(req, "filter[type]", "a string")),
        _ => KINDS.into_iter().filter(|kind| query.kinds.is_empty() || query.kinds.iter().any(|k| k == kind)).collect(),
    };
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        return Some(Reply::invalid(req, "filter[type]", "one of ticket, user, organization, group"));
    }
    let mut ids: Vec<i64> = kinds.iter().flat_map(|kind| find(world, caller, req, &query, kind)).collect();
    let list = |ids| List { name: "results", host: &world.host, ids };
    let write = |id| result_json(world, id);
    Some(match rest {
        ["count"] => Reply::ok(&json!({"count": ids.len()})),
        ["export"] => {
            ids.sort_unstable();
            list(ids).paged(req, Ways::Cursor(1_000), write)
        }
        [] if req.number("page").unwrap_or(1) * req.number("per_page").unwrap_or(100).min(100) > REACHABLE => {
            let words = "Invalid search: Requested response size was greater than Search Response Limits";
            Reply::json(422, &json!({"error": "invalid", "description": words}))
        }
        [] => with_facets(list(ids).paged(req, Ways::Number, write)),
        _ => return None,
    })
}

fn with_facets(reply: Reply) -> Reply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else { return reply };
    if reply.status == 200 {
        body.insert("facets".into(), Value::Null);
    }
    Reply { body: json!(body).to_string().into_bytes(), ..reply }
}

/// A result is what it is elsewhere, and says what that is.
fn result_json(world: &World, id: i64) -> Value {
    let (kind, mut row) = if world.tickets.contains_key(&id) {
        ("ticket", world.ticket_json(id))
    } else if world.users.contains_key(&id) {
        ("user", world.user_json(id))
    } else if world.organizations.contains_key(&id) {
        ("organization", world.organization_json(id))
    } else {
        ("group", world.group_json(id))
    };
    row["result_type"] = kind.into();
    row
}

/// The records of one sort that match, in the order asked for.
fn find(world: &World, caller: &Caller, req: &Req, query: &Query, kind: &str) -> Vec<i64> {
    let mut found: Vec<i64> = match kind {
        "user" => match world.looked_up(query) {
            Some(ids) => ids,
            None => {
                let live = world.users.values().filter(|user| user.active);
                live.filter(|user| query.matches(|key| values::user(world, user, key))).map(|user| user.id).collect()
            }
        },
        "organization" => {
            let live = world.organizations.values().filter(|o| o.deleted_at.is_none());
            live.filter(|o| query.matches(|key| values::organization(o, key))).map(|o| o.id).collect()
        }
        "group" => {
            let live = world.catalog.groups.iter().filter(|group| !group.deleted);
            live.filter(|group| query.matches(|key| values::group(group, key))).map(|group| group.id).collect()
        }
        _ => {
            let live = world.tickets.values().filter(|ticket| ticket.gone == Gone::No);
            let matching = live.filter(|t| query.matches(|key| values::ticket(world, caller.user_id, t, key)));
            matching.map(|ticket| ticket.id).collect()
        }
    };
    let asked = req.q("sort_by").map(|by| (by.to_owned(), req.q("sort_order") == Some("asc")));
    let (by, up) = query.order.clone().or(asked).unwrap_or_default();
    values::sort(world, &mut found, &by);
    if !up {
        found.reverse();
    }
    found
}

impl World {
    /// Users found by one look-up instead of by reading them all.
    fn looked_up(&self, query: &Query) -> Option<Vec<i64>> {
        let [term] = query.terms.as_slice() else { return None };
        let alone = term.key.is_none() && !term.not && term.value.contains('@');
        let email = if alone { Some(term.value.as_str()) } else { query.only("email") };
        if let Some(id) = email.and_then(|email| self.index.emails.get(email)) {
            return Some(vec![*id]);
        }
        let external = query.only("external_id")?;
        Some(self.index.user_external.get(external).copied().into_iter().collect())
    }
}
