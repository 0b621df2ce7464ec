//! Small lists that are only read: brands, statuses, forms, roles, locales, settings, tags, and what is empty here.
use super::ask;
use crate::http::page::List;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::ticket::Gone;
use crate::world::user::{ADMIN_ROLE, LOCALES, Role, locale_id};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Lists this account has nothing in, by path and wrapper.
const EMPTY: &[(&[&str], &str)] = &[
    (&["macros"], "macros"),
    (&["macros", "active"], "macros"),
    (&["triggers"], "triggers"),
    (&["triggers", "active"], "triggers"),
    (&["automations"], "automations"),
    (&["automations", "active"], "automations"),
    (&["targets"], "targets"),
    (&["sharing_agreements"], "sharing_agreements"),
    (&["suspended_tickets"], "suspended_tickets"),
    (&["slas", "policies"], "sla_policies"),
    (&["group_slas", "policies"], "group_sla_policies"),
    (&["dynamic_content", "items"], "items"),
    (&["organization_subscriptions"], "organization_subscriptions"),
    (&["recipient_addresses"], "recipient_addresses"),
    (&["activities"], "activities"),
    (&["bookmarks"], "bookmarks"),
    (&["skips"], "skips"),
    (&["workspaces"], "workspaces"),
    (&["channels", "voice", "phone_numbers"], "phone_numbers"),
    (&["custom_objects"], "custom_objects"),
];

/// Answers what no larger part of the API does.
pub fn route(world: &mut World, caller: &Caller, req: &Req, parts: &[&str]) -> Option<Reply> {
    if req.method != "GET" {
        return None;
    }
    let catalog = &world.catalog;
    let reply = match parts {
        ["brands", rest @ ..] => {
            return small(world, req, "brands", "brand", vec![catalog.brand_id], rest, |id| world.brand_json(id));
        }
        ["ticket_forms", "show_many"] => Reply::ok(&json!({"ticket_forms": [world.form_json(catalog.form_id)]})),
        ["ticket_forms", rest @ ..] => {
            let ids = vec![catalog.form_id];
            return small(world, req, "ticket_forms", "ticket_form", ids, rest, |id| world.form_json(id));
        }
        ["custom_roles", rest @ ..] => {
            let ids = vec![catalog.form_id + 101, ADMIN_ROLE];
            return small(world, req, "custom_roles", "custom_role", ids, rest, |id| world.role_json(id));
        }
        ["business_hours", "schedules", rest @ ..] => {
            let ids = vec![catalog.form_id + 10];
            return small(world, req, "schedules", "schedule", ids, rest, |id| schedule_json(world, id));
        }
        ["custom_statuses"] => statuses(world, req),
        ["custom_statuses", id] => {
            let found = catalog.statuses.iter().find(|status| status.0.to_string() == *id);
            found.map_or_else(Reply::not_found, |status| ask::one(200, "custom_status", &status_json(world, status)))
        }
        ["account", "settings"] => settings(world),
        ["locales", rest @ ..] => locales(world, caller, rest),
        ["tags"] => tags(world, req),
        ["tags", "count"] => ask::count(caller, tag_counts(world).len()),
        ["autocomplete", "tags"] => autocomplete_tags(world, req),
        ["sessions"] | ["users", _, "sessions"] => {
            List { name: "sessions", host: &world.host, ids: vec![] }.page(req, |_| Value::Null)
        }
        [path @ .., id] if id.parse::<i64>().is_ok() && EMPTY.iter().any(|(known, _)| known == &path) => {
            Reply::not_found()
        }
        path => {
            let (_, name) = EMPTY.iter().find(|(known, _)| known == &path)?;
            List { name, host: &world.host, ids: vec![] }.page(req, |_| Value::Null)
        }
    };
    Some(reply)
}

/// A list of few records, and each of them.
fn small(
    world: &World,
    req: &Req,
    name: &'static str,
    one: &str,
    ids: Vec<i64>,
    rest: &[&str],
    write: impl Fn(i64) -> Value,
) -> Option<Reply> {
    match rest {
        [] => Some(List { name, host: &world.host, ids }.page(req, write)),
        [id] => {
            let found = Some(id.parse().ok()?).filter(|id| ids.contains(id));
            Some(found.map_or_else(Reply::not_found, |id| ask::one(200, one, &write(id))))
        }
        _ => None,
    }
}

impl World {
    /// The brand as REST writes it.
    pub fn brand_json(&self, id: i64) -> Value {
        if id != self.catalog.brand_id {
            return Value::Null;
        }
        json!({"id": id, "url": format!("{}/api/v2/brands/{id}.json", self.host), "name": "Acme Outdoor",
            "brand_url": self.host, "subdomain": self.subdomain, "host_mapping": null, "has_help_center": true,
            "help_center_state": "enabled", "active": true, "default": true, "is_deleted": false, "logo": null,
            "ticket_form_ids": [self.catalog.form_id], "signature_template": "{{agent.signature}}",
            "created_at": self.catalog.made_at, "updated_at": self.catalog.made_at})
    }

    /// The ticket form as REST writes it.
    pub fn form_json(&self, id: i64) -> Value {
        if id != self.catalog.form_id {
            return Value::Null;
        }
        let fields: Vec<_> = self.catalog.ticket_fields.iter().map(|def| def.id).collect();
        let name = "Default Ticket Form";
        json!({"id": id, "url": format!("{}/api/v2/ticket_forms/{id}.json", self.host), "name": name,
            "raw_name": name, "display_name": name, "raw_display_name": name, "active": true, "default": true,
            "end_user_visible": true, "position": 0, "in_all_brands": true, "restricted_brand_ids": [],
            "ticket_field_ids": fields, "agent_conditions": [], "end_user_conditions": [],
            "created_at": self.catalog.made_at, "updated_at": self.catalog.made_at})
    }

    /// A role of agents as REST writes it.
    pub fn role_json(&self, id: i64) -> Value {
        let (name, kind, role) = match id {
            id if id == self.catalog.form_id + 101 => ("Advisor", 0, Role::Agent),
            ADMIN_ROLE => ("Administrator", 4, Role::Admin),
            _ => return Value::Null,
        };
        let members = self.users.values().filter(|user| user.active && user.role == role).count();
        json!({"id": id, "url": format!("{}/api/v2/custom_roles/{id}.json", self.host), "name": name,
            "description": format!("{name}s of this account"), "role_type": kind, "team_member_count": members,
            "configuration": {"chat_access": true, "end_user_profile_access": "full", "ticket_access": "all",
                "ticket_deletion": true, "ticket_merge": true, "user_view_access": "full", "voice_access": true},
            "created_at": self.catalog.made_at, "updated_at": self.catalog.made_at})
    }
}

fn schedule_json(world: &World, id: i64) -> Value {
    let days = (0..5).map(|day| json!({"start_time": 1_440 * (day + 1) + 540, "end_time": 1_440 * (day + 1) + 1_020}));
    json!({"id": id, "name": "Weekdays", "time_zone": "Eastern Time (US & Canada)",
        "intervals": days.collect::<Vec<_>>(), "created_at": world.catalog.made_at,
        "updated_at": world.catalog.made_at})
}

type Status = (i64, &'static str, &'static str, bool);

fn status_json(world: &World, (id, category, label, default): &Status) -> Value {
    let text = "";
    json!({"url": format!("{}/api/v2/custom_statuses/{id}.json", world.host), "id": id,
        "status_category": category, "agent_label": label, "raw_agent_label": label, "end_user_label": label,
        "raw_end_user_label": label, "description": text, "raw_description": text, "end_user_description": text,
        "raw_end_user_description": text, "active": true, "default": default,
        "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
}

fn statuses(world: &World, req: &Req) -> Reply {
    let categories = req.q("status_categories").unwrap_or_default();
    let flag = |name: &str, is: bool| req.q(name).is_none_or(|asked| asked == if is { "true" } else { "false" });
    let wanted = |status: &&Status| {
        (categories.is_empty() || categories.split(',').any(|word| word.trim() == status.1))
            && flag("active", true)
            && flag("default", status.3)
    };
    let rows: Vec<_> = world.catalog.statuses.iter().filter(wanted).map(|status| status_json(world, status)).collect();
    Reply::ok(&json!({ "custom_statuses": rows }))
}

fn settings(world: &World) -> Reply {
    Reply::ok(&json!({"settings": {
        "active_features": {"customer_satisfaction": !world.surveys, "csat_reason_code": !world.surveys,
            "user_tagging": true, "ticket_tagging": true, "user_org_fields": true, "custom_statuses_enabled": true},
        "statistics": {"forum": false, "search": true},
        "users": {"tagging": true, "time_zone_selection": true, "language_selection": true, "end_user_phone_number_validation": false},
        "tickets": {"custom_statuses_enabled": true, "tagging": true},
        "branding": {"header_color": "78A300"},
        "api": {"accepted_api_agreement": true, "api_password_access": "false", "api_token_access": "true"},
        "localization": {"locale_ids": [1]}, "brands": {"default_brand_id": world.catalog.brand_id},
        "lotus": {"prefer_lotus": true}}}))
}

/// Locales go by number or name; `current` is the asker's own.
fn locales(world: &World, caller: &Caller, rest: &[&str]) -> Reply {
    let row = |(locale, id): &(&str, i64)| {
        json!({"id": id, "locale": locale, "name": locale, "created_at": world.catalog.made_at,
            "updated_at": world.catalog.made_at, "url": format!("{}/api/v2/locales/{locale}.json", world.host)})
    };
    let find = |text: &str| LOCALES.iter().find(|(locale, id)| *locale == text || id.to_string() == text);
    match rest {
        [] | ["agent" | "public"] => Reply::ok(&json!({"locales": LOCALES.iter().map(row).collect::<Vec<_>>()})),
        ["current" | "detect_best_locale"] => {
            let id = world.users.get(&caller.user_id).map_or(1, |user| locale_id(&user.locale));
            let own = find(&id.to_string()).or_else(|| LOCALES.first());
            Reply::ok(&json!({"locale": own.map(row)}))
        }
        [one] => find(one).map_or_else(Reply::not_found, |found| Reply::ok(&json!({"locale": row(found)}))),
        _ => Reply::no_endpoint(),
    }
}

/// How often each tag is on a ticket, a user or an organization.
fn tag_counts(world: &World) -> BTreeMap<&str, usize> {
    let tickets = world.tickets.values().filter(|ticket| ticket.gone == Gone::No).flat_map(|ticket| &ticket.tags);
    let users = world.users.values().filter(|user| user.active).flat_map(|user| &user.tags);
    let organizations = world.organizations.values().filter(|o| o.deleted_at.is_none()).flat_map(|o| &o.tags);
    let mut counts = BTreeMap::new();
    for tag in tickets.chain(users).chain(organizations) {
        *counts.entry(tag.as_str()).or_default() += 1;
    }
    counts
}

fn tags(world: &World, req: &Req) -> Reply {
    let mut all: Vec<_> = tag_counts(world).into_iter().collect();
    all.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    List { name: "tags", host: &world.host, ids: (0..all.len() as i64).collect() }.page(req, |place| {
        let (name, count) = all[place as usize];
        json!({"name": name, "count": count})
    })
}

fn autocomplete_tags(world: &World, req: &Req) -> Reply {
    let start = req.q("name").unwrap_or_default().to_lowercase();
    if start.chars().count() < 2 {
        return Reply::bad("InvalidValue", "name must be at least 2 characters long");
    }
    let found: Vec<_> = tag_counts(world).into_keys().filter(|tag| tag.starts_with(&start)).take(30).collect();
    Reply::ok(&json!({"tags": found, "count": found.len()}))
}
