//! What records have under the keys of searches.
use super::query::Values;
use crate::time::Stamp;
use crate::world::World;
use crate::world::catalog::Group;
use crate::world::organization::Organization;
use crate::world::ticket::Ticket;
use crate::world::user::User;
use serde_json::Value;

const STATUSES: &[&str] = &["new", "open", "pending", "hold", "solved", "closed"];
const PRIORITIES: &[&str] = &["low", "normal", "high", "urgent"];

fn text(value: Option<&str>) -> Values {
    Values::Texts(value.into_iter().map(str::to_lowercase).collect())
}

fn custom(value: Option<&Value>) -> Values {
    Values::Texts(match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text.to_lowercase()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_lowercase).collect(),
        Some(other) => vec![other.to_string()],
    })
}

/// A person as queries name one: by id, address or name.
fn person(world: &World, asker: i64, id: Option<i64>) -> Values {
    let Some(id) = id else { return Values::Texts(Vec::new()) };
    let mut names = vec![id.to_string()];
    if let Some(user) = world.users.get(&id) {
        names.push(user.name.to_lowercase());
        names.extend(user.identities.iter().filter(|i| i.kind == "email").map(|i| i.value.to_lowercase()));
    }
    if id == asker {
        names.push("me".into());
    }
    Values::Texts(names)
}

fn organization_named(world: &World, id: Option<i64>) -> Values {
    let name = id.and_then(|id| world.organizations.get(&id)).map(|o| o.name.to_lowercase());
    Values::Texts(id.map(|id| id.to_string()).into_iter().chain(name).collect())
}

fn group_named(world: &World, id: Option<i64>) -> Values {
    let name = id.and_then(|id| world.catalog.group(id)).map(|group| group.name.to_lowercase());
    Values::Texts(id.map(|id| id.to_string()).into_iter().chain(name).collect())
}

/// What a user has.
pub fn user(world: &World, user: &User, key: Option<&str>) -> Values {
    let identities = |kind: &'static str| {
        let of_kind = user.identities.iter().filter(move |i| kind.is_empty() || i.kind == kind);
        of_kind.map(|i| i.value.to_lowercase())
    };
    let Some(key) = key else {
        let mut words = vec![user.name.to_lowercase()];
        words.extend(identities(""));
        words.extend(user.phone.clone());
        for one in [&user.external_id, &user.alias, &user.notes, &user.details].into_iter().flatten() {
            words.push(one.to_lowercase());
        }
        return Values::Texts(words);
    };
    match key {
        "name" => text(Some(&user.name)),
        "email" => Values::Texts(identities("email").collect()),
        "phone" => Values::Texts(identities("phone_number").chain(user.phone.clone()).collect()),
        "role" => text(Some(user.role.word())),
        "external_id" => text(user.external_id.as_deref()),
        "alias" => text(user.alias.as_deref()),
        "notes" => text(user.notes.as_deref()),
        "details" => text(user.details.as_deref()),
        "locale" => text(Some(&user.locale)),
        "tags" => Values::Texts(user.tags.clone()),
        "organization" | "organization_id" => organization_named(world, user.organization_id),
        "group" | "group_id" => group_named(world, user.default_group_id),
        "is_verified" | "verified" => text(Some(if user.verified { "true" } else { "false" })),
        "is_suspended" | "suspended" => text(Some(if user.suspended { "true" } else { "false" })),
        "created" | "created_at" => Values::Time(Some(user.created_at)),
        "updated" | "updated_at" => Values::Time(Some(user.updated_at)),
        "id" => text(Some(&user.id.to_string())),
        key => custom_field(&user.fields, world.catalog.user_fields.iter().any(|def| def.key == key), key),
    }
}

fn custom_field(fields: &std::collections::BTreeMap<String, Value>, known: bool, key: &str) -> Values {
    if known { custom(fields.get(key)) } else { Values::Unknown }
}

/// What an organization has.
pub fn organization(organization: &Organization, key: Option<&str>) -> Values {
    let o = organization;
    match key {
        None => {
            let parts = [Some(&o.name), o.external_id.as_ref(), o.notes.as_ref(), o.details.as_ref()];
            let words = parts.into_iter().flatten().map(|part| part.to_lowercase());
            Values::Texts(words.chain(o.domain_names.iter().cloned()).collect())
        }
        Some("name") => text(Some(&o.name)),
        Some("external_id") => text(o.external_id.as_deref()),
        Some("notes") => text(o.notes.as_deref()),
        Some("details") => text(o.details.as_deref()),
        Some("tags") => Values::Texts(o.tags.clone()),
        Some("created" | "created_at") => Values::Time(Some(o.created_at)),
        Some("updated" | "updated_at") => Values::Time(Some(o.updated_at)),
        Some("id") => text(Some(&o.id.to_string())),
        Some(key) => custom_field(&o.fields, o.fields.contains_key(key), key),
    }
}

/// What a group has.
pub fn group(group: &Group, key: Option<&str>) -> Values {
    match key {
        None | Some("name") => text(Some(&group.name)),
        Some("created" | "created_at") => Values::Time(Some(group.created_at)),
        Some("updated" | "updated_at") => Values::Time(Some(group.updated_at)),
        Some(_) => Values::Unknown,
    }
}

/// What a ticket has.
pub fn ticket(world: &World, asker: i64, ticket: &Ticket, key: Option<&str>) -> Values {
    let comments = || ticket.comments().map(|(.., comment)| comment);
    let Some(key) = key else {
        let mut words = vec![ticket.subject.to_lowercase(), ticket.id.to_string()];
        words.extend(comments().map(|comment| comment.body.to_lowercase()));
        return Values::Texts(words);
    };
    match key {
        "status" => Values::Rank(STATUSES.iter().position(|word| *word == ticket.status.word()), STATUSES),
        "priority" => {
            let rank = ticket.priority.and_then(|p| PRIORITIES.iter().position(|word| *word == p.word()));
            Values::Rank(rank, PRIORITIES)
        }
        "ticket_type" => text(ticket.kind.map(|kind| kind.word())),
        "subject" => text(Some(&ticket.subject)),
        "description" => text(Some(ticket.description())),
        "comment" => Values::Texts(comments().map(|comment| comment.body.to_lowercase()).collect()),
        "tags" => Values::Texts(ticket.tags.clone()),
        "external_id" => text(ticket.external_id.as_deref()),
        "via" => text(Some(ticket.channel)),
        "id" | "ticket_id" => text(Some(&ticket.id.to_string())),
        "requester" | "requester_id" => person(world, asker, Some(ticket.requester_id)),
        "submitter" | "submitter_id" => person(world, asker, Some(ticket.submitter_id)),
        "assignee" | "assignee_id" => person(world, asker, ticket.assignee_id),
        "cc" => Values::Texts(ticket.email_cc_ids.iter().map(i64::to_string).collect()),
        "group" | "group_id" => group_named(world, ticket.group_id),
        "organization" | "organization_id" => organization_named(world, ticket.organization_id),
        "created" | "created_at" => Values::Time(Some(ticket.created_at)),
        "updated" | "updated_at" => Values::Time(Some(ticket.updated_at)),
        "due_date" => Values::Time(ticket.due_at),
        "solved" => {
            let solved = world.ticket_metrics(ticket)["solved_at"].as_str().and_then(Stamp::parse);
            Values::Time(solved)
        }
        key => match key.strip_prefix("custom_field_").and_then(|id| id.parse().ok()) {
            Some(id) => custom(ticket.fields.get(&id)),
            None => Values::Unknown,
        },
    }
}

/// Puts results in order: by id where nothing else is asked for, which is the order they were made in.
pub fn sort(world: &World, ids: &mut [i64], by: &str) {
    let moments = |id: i64| -> Option<(Stamp, Stamp)> {
        let ticket = world.tickets.get(&id).map(|t| (t.created_at, t.updated_at));
        let user = || world.users.get(&id).map(|u| (u.created_at, u.updated_at));
        ticket.or_else(user).or_else(|| world.organizations.get(&id).map(|o| (o.created_at, o.updated_at)))
    };
    match by {
        "created" | "created_at" => ids.sort_by_key(|id| (moments(*id).map(|(created, _)| created), *id)),
        "updated" | "updated_at" => ids.sort_by_key(|id| (moments(*id).map(|(_, updated)| updated), *id)),
        "status" => ids.sort_by_key(|id| (world.tickets.get(id).map(|t| t.status), *id)),
        "priority" => ids.sort_by_key(|id| {
            let priority = world.tickets.get(id).and_then(|t| t.priority);
            (priority.and_then(|p| PRIORITIES.iter().position(|word| *word == p.word())), *id)
        }),
        _ => ids.sort_unstable(),
    }
}
