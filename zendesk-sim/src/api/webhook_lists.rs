//! Lists of webhooks, of their invocations and of the attempts of one, by cursor; without links when there is no more.
use super::webhooks::missing;
use crate::http::{Caller, Reply, Req};
use crate::time::Stamp;
use crate::world::World;
use crate::world::hooks::{Attempt, Webhook};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const PAGE: i64 = 100;

/// `GET /webhooks`.
pub fn webhooks(world: &World, req: &Req) -> Reply {
    let name = req.q("filter[name_contains]").unwrap_or_default().to_lowercase();
    let status = req.q("filter[status]");
    if status.is_some_and(|status| status != "active" && status != "inactive") {
        return refused("InvalidFilter", "filter[status] is not one of active, inactive");
    }
    let wanted = |hook: &&Webhook| {
        hook.name.to_lowercase().contains(&name) && status.is_none_or(|status| hook.active == (status == "active"))
    };
    let mut found: Vec<_> = world.hooks.all.values().filter(wanted).collect();
    let sort = req.q("sort").unwrap_or_default();
    match sort.trim_start_matches('-') {
        "name" => found.sort_by_key(|hook| hook.name.to_lowercase()),
        "status" => found.sort_by_key(|hook| hook.active),
        _ => {}
    }
    if sort.starts_with('-') {
        found.reverse();
    }
    let rows: Vec<_> = found.iter().map(|hook| (hook.id.as_str(), hook.as_rest())).collect();
    page(world, req, "webhooks", if sort.starts_with('-') { "desc" } else { "asc" }, &rows)
}

/// `GET /webhooks/{id}/invocations`: the latest first; a line for each try, so that an invocation may be there twice.
pub fn invocations(world: &mut World, caller: &Caller, req: &Req, id: &str) -> Reply {
    let Some(hook) = world.hooks.all.get_mut(id) else { return missing() };
    hook.forget(Webhook::known_since(caller.now));
    let status = req.q("filter[status]");
    let at = |name: &str| req.q(name).and_then(|text| Stamp::parse(text).or_else(|| text.parse().ok().map(Stamp)));
    let (from, to) = (at("filter[from_ts]"), at("filter[to_ts]"));
    let wanted = |attempt: &&Attempt| {
        status.is_none_or(|status| attempt.status == status)
            && from.is_none_or(|from| attempt.completed_at >= from)
            && to.is_none_or(|to| attempt.completed_at <= to)
    };
    let rows: Vec<_> =
        hook.log.iter().rev().filter(wanted).map(|attempt| (attempt.line.clone(), attempt.as_invocation())).collect();
    let rows: Vec<_> = rows.iter().map(|(line, row)| (line.as_str(), row.clone())).collect();
    page(world, req, "invocations", "desc", &rows)
}

/// `GET /webhooks/{id}/invocations/{invocation}/attempts`: the latest first.
pub fn attempts(world: &mut World, caller: &Caller, id: &str, invocation: &str) -> Reply {
    let Some(hook) = world.hooks.all.get_mut(id) else { return missing() };
    hook.forget(Webhook::known_since(caller.now));
    let of_it = hook.log.iter().rev().filter(|attempt| attempt.invocation_id == invocation);
    let rows: Vec<_> = of_it.map(|attempt| attempt.as_attempt(id)).collect();
    match rows.is_empty() {
        true => missing(),
        false => Reply::ok(&json!({ "attempts": rows })),
    }
}

fn refused(code: &str, detail: &str) -> Reply {
    Reply::json(
        400,
        &json!({"errors": [{"code": code, "title": "Invalid request", "detail": detail, "id": "0", "links": {},
        "source": {}, "status": "400"}]}),
    )
}

/// One page of rows, each with the key its cursor is made of.
fn page(world: &World, req: &Req, name: &str, order: &str, rows: &[(&str, Value)]) -> Reply {
    let size = req.number("page[size]").unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return refused("InvalidPageSize", "page[size] is not 1 to 100");
    }
    let size = size as usize;
    let place = |cursor: &str| {
        let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
        let key = text.split(',').next()?.to_owned();
        // A row that is gone by now: the rows beyond it, where rows are ordered by their keys.
        let beyond = || rows.iter().position(|row| if order == "desc" { *row.0 <= *key } else { *row.0 > *key });
        Some(rows.iter().position(|row| row.0 == key).map_or_else(|| beyond().unwrap_or(rows.len()), |at| at + 1))
    };
    let span = match (req.q("page[after]"), req.q("page[before]")) {
        (Some(after), _) => place(after).map(|from| (from, (from + size).min(rows.len()))),
        (None, Some(before)) => place(before).map(|end| (end.saturating_sub(size + 1), end.saturating_sub(1))),
        (None, None) => Some((0, size.min(rows.len()))),
    };
    let Some((from, until)) = span else { return refused("InvalidCursor", "page[after] is not a valid cursor") };
    let cursor = |row: Option<&(&str, Value)>| row.map(|row| STANDARD.encode(format!("{},{order}", row.0)));
    let shown = &rows[from..until];
    let (mut meta, mut links, mut header) = (json!({"has_more": until < rows.len()}), json!({}), Vec::new());
    let sides = [
        ("prev", "before", cursor(shown.first()).filter(|_| from > 0)),
        ("next", "after", cursor(shown.last()).filter(|_| until < rows.len())),
    ];
    for (link, side, cursor) in sides {
        let Some(cursor) = cursor else { continue };
        let mut address = format!("{}:443{}?page[{side}]={cursor}", world.host, req.path);
        for (key, value) in
            req.query.iter().filter(|(key, _)| !key.starts_with("page[after") && !key.starts_with("page[before"))
        {
            address.push_str(&format!("&{key}={value}"));
        }
        header.push(format!("<{address}>; rel=\"{link}\""));
        meta[format!("{side}_cursor")] = cursor.into();
        links[link] = address.into();
    }
    let shown: Vec<_> = shown.iter().map(|row| &row.1).collect();
    let mut body = json!({ "meta": meta, name: shown });
    if header.is_empty() {
        return Reply::ok(&body);
    }
    body["links"] = links;
    header.into_iter().fold(Reply::ok(&body), |reply, link| reply.with("link", link))
}
