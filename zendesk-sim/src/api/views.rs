//! `/views`: three that every account has, and the tickets in them.
use super::ask;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::ticket::{Gone, Status, Ticket};
use serde_json::{Value, json};

const TITLES: [&str; 3] = ["Your unsolved tickets", "All unsolved tickets", "Recently solved tickets"];

/// Answers `/views...`.
pub fn route(world: &World, caller: &Caller, req: &Req, rest: &[&str]) -> Option<Reply> {
    if req.method != "GET" {
        return None;
    }
    let ids: Vec<_> = (0..TITLES.len() as i64).map(|place| view_id(world, place)).collect();
    let reply = match rest {
        [] | ["active" | "compact" | "search" | "show_many"] => {
            List { name: "views", host: &world.host, ids }.page(req, |id| view_json(world, id))
        }
        ["count"] => ask::count(caller, TITLES.len()),
        ["count_many"] => {
            let asked = req.q("ids").unwrap_or_default();
            let asked = ids.iter().filter(|id| asked.split(',').any(|text| text == id.to_string()));
            let counts: Vec<_> = asked.map(|id| count_json(world, caller, *id)).collect();
            Reply::ok(&json!({ "view_counts": counts }))
        }
        [id, what @ ..] => {
            let Some(id) = id.parse().ok().filter(|id| ids.contains(id)) else { return Some(Reply::not_found()) };
            match what {
                [] => ask::one(200, "view", &view_json(world, id)),
                ["count"] => Reply::ok(&json!({"view_count": count_json(world, caller, id)})),
                ["tickets"] => {
                    let ids = within(world, caller, id);
                    List { name: "tickets", host: &world.host, ids }.page(req, |id| world.ticket_json(id))
                }
                ["execute"] => {
                    let ids = within(world, caller, id);
                    let page = List { name: "rows", host: &world.host, ids };
                    page.page(req, |id| json!({"ticket_id": id, "ticket": world.ticket_json(id)}))
                }
                _ => return None,
            }
        }
    };
    Some(reply)
}

fn view_id(world: &World, place: i64) -> i64 {
    world.catalog.form_id + 1_000 + 12 * place
}

fn view_json(world: &World, id: i64) -> Value {
    let place = (id - view_id(world, 0)) / 12;
    let title = TITLES.get(place as usize).copied().unwrap_or_default();
    let column = |id: &str, title: &str| json!({"id": id, "title": title});
    json!({"id": id, "url": format!("{}/api/v2/views/{id}.json", world.host), "title": title, "raw_title": title,
        "active": true, "position": place + 1, "description": "", "default": false, "restriction": null,
        "watchable": true, "raw_description": null,
        "execution": {"group_by": null, "group_order": "asc", "sort_by": "created", "sort_order": "desc",
            "group": null, "sort": {"id": "created", "order": "desc"},
            "columns": [column("subject", "Subject"), column("requester", "Requester")],
            "fields": [column("subject", "Subject")], "custom_fields": []},
        "conditions": {"all": [{"field": "status", "operator": "less_than", "value": "solved"}], "any": []},
        "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
}

fn within(world: &World, caller: &Caller, id: i64) -> Vec<i64> {
    let place = (id - view_id(world, 0)) / 12;
    let wanted = |ticket: &&Ticket| {
        ticket.gone == Gone::No
            && match place {
                0 => ticket.status < Status::Solved && ticket.assignee_id == Some(caller.user_id),
                1 => ticket.status < Status::Solved,
                _ => ticket.status == Status::Solved,
            }
    };
    world.tickets.values().rev().filter(wanted).map(|ticket| ticket.id).collect()
}

fn count_json(world: &World, caller: &Caller, id: i64) -> Value {
    let count = within(world, caller, id).len();
    json!({"view_id": id, "url": format!("{}/api/v2/views/{id}/count.json", world.host), "value": count,
        "pretty": count.to_string(), "fresh": true, "active": true})
}
