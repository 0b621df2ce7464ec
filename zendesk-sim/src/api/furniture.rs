//! Small lists: fields, groups, brands, statuses, forms, memberships, settings.
use crate::http::page::List;
use crate::http::{Reply, Req};
use crate::world::World;
use crate::world::catalog::FieldDef;
use serde_json::{Value, json};

/// Answers what no larger part of the API does.
pub fn route(world: &mut World, req: &Req, parts: &[&str]) -> Option<Reply> {
    let reply = match (req.method.as_str(), parts) {
        ("GET", ["user_fields", rest @ ..]) => fields(world, req, "user_fields", "user_field", rest),
        ("GET", ["organization_fields", rest @ ..]) => {
            fields(world, req, "organization_fields", "organization_field", rest)
        }
        ("GET", ["ticket_fields", rest @ ..]) => fields(world, req, "ticket_fields", "ticket_field", rest),
        ("GET", ["groups", rest @ ..]) => groups(world, req, rest),
        ("GET", ["group_memberships"]) => group_memberships(world, req, None),
        ("GET", ["organization_memberships"]) => super::user_parts::memberships(world, req, None, None),
        ("GET", ["brands"]) => brands(world, req),
        ("GET", ["custom_statuses"]) => statuses(world, req),
        ("GET", ["ticket_forms"]) => forms(world, req),
        ("GET", ["account", "settings"]) => settings(world),
        ("GET", ["locales"]) => locales(world),
        ("GET", ["custom_roles"]) => Reply::ok(&json!({"custom_roles": [], "count": 0, "next_page": null})),
        _ => return None,
    };
    Some(reply)
}

fn fields(world: &World, req: &Req, name: &'static str, one: &str, rest: &[&str]) -> Reply {
    let defs = match name {
        "user_fields" => &world.catalog.user_fields,
        "organization_fields" => &world.catalog.organization_fields,
        _ => &world.catalog.ticket_fields,
    };
    let write = |(place, def): (usize, &FieldDef)| match name {
        "ticket_fields" => def.as_ticket_field(&world.host, place, world.catalog.made_at),
        _ => def.as_rest(&world.host, name, place, world.catalog.made_at),
    };
    let find = |key: &str| defs.iter().enumerate().find(|(_, def)| def.key == key || def.id.to_string() == key);
    match rest {
        [] => {
            let ids = defs.iter().map(|def| def.id).collect();
            let list = List { name, host: &world.host, ids };
            list.page(req, |id| find(&id.to_string()).map_or(Value::Null, write))
        }
        [key] => match find(key) {
            Some(found) => Reply::ok(&json!({ one: write(found) })),
            None if key.parse::<i64>().is_err() => Reply::no_endpoint(),
            None => Reply::not_found(),
        },
        [key, "options"] => match find(key) {
            Some((_, def)) => Reply::ok(&json!({"custom_field_options": def.choices, "count": def.choices.len(),
                "next_page": null, "previous_page": null})),
            None => Reply::not_found(),
        },
        _ => Reply::no_endpoint(),
    }
}

fn group_json(world: &World, id: i64) -> Value {
    let Some((_, name)) = world.catalog.groups.iter().find(|group| group.0 == id) else { return Value::Null };
    json!({"id": id, "url": format!("{}/api/v2/groups/{id}.json", world.host), "name": name, "description": "",
        "default": id == world.catalog.groups[0].0, "deleted": false, "is_public": true,
        "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
}

fn groups(world: &World, req: &Req, rest: &[&str]) -> Reply {
    let ids: Vec<_> = world.catalog.groups.iter().map(|group| group.0).collect();
    match rest {
        [] => List { name: "groups", host: &world.host, ids }.page(req, |id| group_json(world, id)),
        [id] => match id.parse().map(|id| group_json(world, id)) {
            Ok(group) if !group.is_null() => Reply::ok(&json!({ "group": group })),
            Ok(_) => Reply::not_found(),
            Err(_) => Reply::no_endpoint(),
        },
        _ => Reply::no_endpoint(),
    }
}

/// Which agents are in which groups; an agent is in their default group.
pub fn group_memberships(world: &World, req: &Req, of: Option<i64>) -> Reply {
    let agents = world.index.agents.iter().filter(|id| of.is_none_or(|of| of == **id));
    let ids = agents.copied().filter(|id| world.users.get(id).is_some_and(|u| u.active)).collect();
    List { name: "group_memberships", host: &world.host, ids }.page(req, |user_id| {
        let user = world.users.get(&user_id);
        let made_at = user.map(|user| user.created_at);
        json!({"id": user_id + 3, "url": format!("{}/api/v2/group_memberships/{}.json", world.host, user_id + 3),
            "user_id": user_id, "group_id": user.and_then(|user| user.default_group_id), "default": true,
            "created_at": made_at, "updated_at": made_at})
    })
}

fn brands(world: &World, req: &Req) -> Reply {
    let ids = vec![world.catalog.brand_id];
    List { name: "brands", host: &world.host, ids }.page(req, |id| {
        json!({"id": id, "url": format!("{}/api/v2/brands/{id}.json", world.host), "name": "Acme Outdoor",
            "brand_url": world.host, "subdomain": world.subdomain, "host_mapping": null, "has_help_center": true,
            "help_center_state": "enabled", "active": true, "default": true, "is_deleted": false, "logo": null,
            "ticket_form_ids": [world.catalog.form_id], "signature_template": "{{agent.signature}}",
            "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
    })
}

fn statuses(world: &World, req: &Req) -> Reply {
    let wanted = req.q("status_categories").unwrap_or_default();
    let row = |(id, category, label, default): &(i64, &str, &str, bool)| {
        json!({"url": format!("{}/api/v2/custom_statuses/{id}.json", world.host), "id": id,
            "status_category": category, "agent_label": label, "raw_agent_label": label, "end_user_label": label,
            "raw_end_user_label": label, "description": "", "raw_description": "", "end_user_description": "",
            "raw_end_user_description": "", "active": true, "default": default,
            "created_at": world.catalog.made_at, "updated_at": world.catalog.made_at})
    };
    let all = world.catalog.statuses.iter();
    let rows: Vec<_> = all.filter(|s| wanted.is_empty() || wanted.split(',').any(|w| w == s.1)).map(row).collect();
    Reply::ok(&json!({ "custom_statuses": rows }))
}

fn forms(world: &World, req: &Req) -> Reply {
    let ids = vec![world.catalog.form_id];
    List { name: "ticket_forms", host: &world.host, ids }.page(req, |id| {
        let fields: Vec<_> = world.catalog.ticket_fields.iter().map(|def| def.id).collect();
        json!({"id": id, "url": format!("{}/api/v2/ticket_forms/{id}.json", world.host), "name": "Default Ticket Form",
            "raw_name": "Default Ticket Form", "display_name": "Default Ticket Form", "active": true,
            "default": true, "end_user_visible": true, "position": 0, "in_all_brands": true,
            "restricted_brand_ids": [], "ticket_field_ids": fields, "created_at": world.catalog.made_at,
            "updated_at": world.catalog.made_at})
    })
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

fn locales(world: &World) -> Reply {
    let row = |(locale, id): &(&str, i64)| json!({"id": id, "locale": locale, "name": locale, "url": format!("{}/api/v2/locales/{id}.json", world.host)});
    Reply::ok(&json!({"locales": crate::world::user::LOCALES.iter().map(row).collect::<Vec<_>>()}))
}
