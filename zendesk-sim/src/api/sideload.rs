//! Side-loads: what `include=` adds to an answer beside the records asked for.
use crate::http::{Reply, Req};
use crate::world::World;
use crate::world::ticket::{Gone, Status, Ticket};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Wrappers, what may be included with them, and which keys of a record name it.
const LINKS: &[(&str, &str, &[&str])] = &[
    (
        "tickets",
        "users",
        &["requester_id", "submitter_id", "assignee_id", "collaborator_ids", "follower_ids", "email_cc_ids"],
    ),
    ("tickets", "groups", &["group_id"]),
    ("tickets", "organizations", &["organization_id"]),
    ("tickets", "brands", &["brand_id"]),
    ("tickets", "ticket_forms", &["ticket_form_id"]),
    ("tickets", "sharing_agreements", &[]),
    ("tickets", "metric_sets", &["id"]),
    ("tickets", "last_audits", &["id"]),
    ("requests", "users", &["requester_id", "assignee_id", "collaborator_ids"]),
    ("requests", "groups", &["group_id"]),
    ("requests", "organizations", &["organization_id"]),
    ("users", "organizations", &["organization_id"]),
    ("users", "groups", &["default_group_id"]),
    ("users", "roles", &["custom_role_id"]),
    ("users", "identities", &["id"]),
    ("organizations", "abilities", &["id"]),
    ("comments", "users", &["author_id"]),
    ("audits", "users", &["author_id"]),
    ("audits", "tickets", &["ticket_id"]),
    ("groups", "users", &["user_ids"]),
    ("organization_memberships", "users", &["user_id"]),
    ("organization_memberships", "organizations", &["organization_id"]),
    ("group_memberships", "users", &["user_id"]),
    ("group_memberships", "groups", &["group_id"]),
    ("satisfaction_ratings", "users", &["assignee_id", "requester_id"]),
    ("satisfaction_ratings", "tickets", &["ticket_id"]),
    ("ticket_metrics", "tickets", &["ticket_id"]),
];

/// What is asked for beside the records: `users,groups`, or in a search `tickets(users,groups)`.
fn asked(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut names = Vec::new();
    let mut within = None;
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let mut word = word;
        if let Some((outer, first)) = word.split_once('(') {
            (within, word) = (Some(outer), first);
        }
        names.push((within, word.trim_end_matches(')')));
        if word.ends_with(')') {
            within = None;
        }
    }
    names
}

/// Adds to an answer what the request includes.
pub fn add(world: &World, req: &Req, reply: Reply) -> Reply {
    with(world, req.q("include").unwrap_or_default(), reply)
}

/// Adds to an answer what this names.
pub fn with(world: &World, include: &str, reply: Reply) -> Reply {
    if include.is_empty() || reply.status >= 300 {
        return reply;
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else { return reply };
    for (within, name) in asked(include) {
        include_one(world, &mut body, within, name);
    }
    Reply { body: json!(body).to_string().into_bytes(), ..reply }
}

fn include_one(world: &World, body: &mut Map<String, Value>, within: Option<&str>, name: &str) {
    let Some((kind, key)) = records_of(body, within) else { return };
    let Some(records) = body.get_mut(&key) else { return };
    let (mut ids, mut open_tickets) = (BTreeSet::new(), Map::new());
    let known = LINKS.iter().find(|(wrapper, included, _)| (*wrapper, *included) == (kind.as_str(), name));
    for record in each(records) {
        if within.is_some_and(|_| record["result_type"] != kind.trim_end_matches('s')) {
            continue;
        }
        if kind == "groups" && name == "users" {
            let group = record["id"].as_i64();
            let within = world.group_memberships.values().filter(|m| Some(m.group_id) == group);
            record["user_ids"] = within.map(|m| m.user_id).collect::<Vec<_>>().into();
        }
        write_inside(world, &kind, name, record);
        if kind == "users" && name == "open_ticket_count" {
            let id = record["id"].as_i64().unwrap_or_default();
            open_tickets.insert(id.to_string(), world.open_tickets(id).into());
        }
        for key in known.map(|(.., keys)| *keys).unwrap_or_default() {
            match &record[*key] {
                Value::Array(all) => ids.extend(all.iter().filter_map(Value::as_i64)),
                one => ids.extend(one.as_i64()),
            }
        }
    }
    if !open_tickets.is_empty() {
        body.insert(name.to_owned(), open_tickets.into());
    }
    if known.is_some() {
        let mut rows: Vec<Value> = ids.into_iter().flat_map(|id| write(world, name, id)).collect();
        if let Some(before) = body.get_mut(name).and_then(Value::as_array_mut) {
            before.append(&mut rows);
        } else {
            body.insert(name.to_owned(), rows.into());
        }
    }
}

/// The kind of records an answer holds, in the plural, and their key.
fn records_of(body: &Map<String, Value>, within: Option<&str>) -> Option<(String, String)> {
    if let Some(kind) = within.filter(|_| body.contains_key("results")) {
        return Some((kind.to_owned(), "results".to_owned()));
    }
    let kinds = LINKS.iter().map(|(wrapper, ..)| *wrapper);
    let found = kinds.flat_map(|kind| [(kind, kind), (kind, kind.trim_end_matches('s'))]);
    let found = found.into_iter().find(|(_, key)| body.contains_key(*key));
    found.map(|(kind, key)| (kind.to_owned(), key.to_owned()))
}

fn each(records: &mut Value) -> Vec<&mut Value> {
    match records {
        Value::Array(all) => all.iter_mut().collect(),
        one => vec![one],
    }
}

impl World {
    /// How many tickets of a requester wait for an end.
    fn open_tickets(&self, id: i64) -> usize {
        let open = |t: &&Ticket| t.gone == Gone::No && t.requester_id == id && t.status < Status::Solved;
        self.tickets.values().filter(open).count()
    }
}

/// What may be done with a user.
fn user_abilities(world: &World, id: i64) -> Value {
    let yes = [
        "edit",
        "manage_identities_of",
        "verify_identities",
        "reset_password",
        "send_verification_email",
        "verify_now",
        "make_comment_private",
        "modify_user_tags",
        "assume",
        "delete",
        "view_reports",
    ];
    let no = [
        "edit_password",
        "set_password",
        "create_password",
        "change_password",
        "set_alias",
        "edit_agent_forwarding",
        "view_views",
        "export",
        "use_voice_console",
        "use_voice",
        "view_voice_dashboard",
    ];
    let mut abilities = json!({"user_id": id, "url": format!("{}/api/v2/users/{id}.json", world.host)});
    for (verbs, may) in [(yes, true), (no, false)] {
        for verb in verbs {
            abilities[format!("can_{verb}")] = may.into();
        }
    }
    abilities
}

/// What may be done with an organization.
fn organization_abilities(world: &World, id: i64) -> Value {
    json!({"url": format!("{}/api/v2/organizations/{id}.json", world.host), "organization_id": id,
        "can_edit_users": true, "can_access_tickets": true})
}

/// The beginning of each measure of a ticket.
fn metric_events(ticket: &Ticket) -> Value {
    let names = [
        "agent_work_time",
        "pausable_update_time",
        "periodic_update_time",
        "reply_time",
        "requester_wait_time",
        "resolution_time",
    ];
    let begun = |(place, name): (i64, &&str)| {
        let event = json!([{"id": ticket.id * 10 + place, "ticket_id": ticket.id, "metric": name, "instance_id": 0,
            "type": "measure", "time": ticket.created_at}]);
        ((*name).to_owned(), event)
    };
    (0..).zip(&names).map(begun).collect()
}

/// Side-loads that stand inside each record.
fn write_inside(world: &World, kind: &str, name: &str, record: &mut Value) {
    let id = record["id"].as_i64().unwrap_or_default();
    match (kind, name) {
        ("users", "abilities") => record[name] = user_abilities(world, id),
        ("organizations", "abilities") => record[name] = organization_abilities(world, id),
        _ => {}
    }
    let Some(ticket) = world.tickets.get(&id).filter(|_| kind == "tickets") else { return };
    record[name] = match name {
        "last_audits" => return record["last_audit"] = world.last_audit(id),
        "comment_count" => ticket.comments().count().into(),
        // In each ticket as well as beside them: so recorded, and so tap-zendesk reads them.
        "metric_sets" => return record["metric_set"] = world.ticket_metrics(ticket),
        "incident_counts" => return record["incident_count"] = world.incidents(id).into(),
        "dates" => {
            let metrics = world.ticket_metrics(ticket);
            let keys = [
                "assignee_updated_at",
                "requester_updated_at",
                "status_updated_at",
                "initially_assigned_at",
                "assigned_at",
                "solved_at",
                "latest_comment_added_at",
            ];
            keys.iter().map(|key| ((*key).to_owned(), metrics[*key].clone())).collect()
        }
        "slas" => json!({"policy_metrics": []}),
        "metric_events" => metric_events(ticket),
        _ => return,
    };
}

fn write(world: &World, name: &str, id: i64) -> Vec<Value> {
    let one = match name {
        "users" => world.user_json(id),
        "organizations" => world.organization_json(id),
        "groups" => world.group_json(id),
        "tickets" => world.ticket_json(id),
        "brands" => world.brand_json(id),
        "ticket_forms" => world.form_json(id),
        "roles" => world.role_json(id),
        "metric_sets" => world.tickets.get(&id).map(|ticket| world.ticket_metrics(ticket)).unwrap_or_default(),
        "last_audits" => world.last_audit(id),
        "identities" => {
            let user = world.users.get(&id).filter(|user| user.active);
            return user.into_iter().flat_map(|u| u.identities.iter().map(|i| i.as_rest(id, &world.host))).collect();
        }
        "abilities" => organization_abilities(world, id),
        _ => Value::Null,
    };
    if one.is_null() { Vec::new() } else { vec![one] }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn includes_are_plain_or_within_a_kind() {
        let check = |text: &str, expected: &[(Option<&str>, &str)]| assert_eq!(asked(text), expected, "{text}");
        check("users", &[(None, "users")]);
        check("users, groups", &[(None, "users"), (None, "groups")]);
        check("tickets(users)", &[(Some("tickets"), "users")]);
        let (users, groups) = ((Some("tickets"), "users"), (Some("tickets"), "groups"));
        check("tickets(users,groups),brands", &[users, groups, (None, "brands")]);
    }
}
