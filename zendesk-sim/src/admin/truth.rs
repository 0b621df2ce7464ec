//! The true state of the account, in a shape of its own, so that no client mistake can hide in a shared one.
use crate::http::{Reply, Req};
use crate::world::World;
use crate::world::audit::{Audit, EventKind};
use crate::world::organization::Organization;
use crate::world::rating::Rating;
use crate::world::ticket::{Gone, Ticket};
use crate::world::user::{User, iana};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Answers `/_sim/state/...`.
pub fn answer(world: &World, req: &Req, what: &str) -> Reply {
    match what {
        "users" => page(req, &world.users, user),
        "organizations" => page(req, &world.organizations, organization),
        "tickets" => page(req, &world.tickets, ticket),
        "ratings" => page(req, &world.ratings, rating),
        "counts" => counts(world),
        "webhooks" => {
            let all: Vec<_> = world.hooks.all.values().map(crate::world::hooks::Webhook::as_rest).collect();
            Reply::ok(&json!({ "rows": all }))
        }
        _ => Reply::no_endpoint(),
    }
}

/// A page of records, in the order of their ids.
pub fn page<T>(req: &Req, all: &BTreeMap<i64, T>, write: fn(&T) -> Value) -> Reply {
    if let Some(id) = req.number("id") {
        return all.get(&id).map_or_else(Reply::not_found, |row| Reply::ok(&write(row)));
    }
    let after = req.number("after_id").unwrap_or(0);
    let limit = req.number("limit").unwrap_or(1000).clamp(1, 10_000) as usize;
    let mut rows = all.range((Bound::Excluded(after), Bound::Unbounded));
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let next = page.last().map(|(id, _)| **id).filter(|_| rows.next().is_some());
    let page: Vec<_> = page.into_iter().map(|(_, row)| write(row)).collect();
    Reply::ok(&json!({"rows": page, "next_after_id": next}))
}

fn user(user: &User) -> Value {
    let identities: Vec<_> = user
        .identities
        .iter()
        .map(|i| json!({"id": i.id, "kind": i.kind, "value": i.value, "primary": i.primary, "verified": i.verified}))
        .collect();
    let organizations: Vec<_> = user.memberships.iter().map(|m| m.organization_id).collect();
    json!({"id": user.id, "name": user.name, "email": user.email.as_deref().filter(|_| user.active),
        "last_email": user.email, "phone": user.phone, "shared_phone": user.shared_phone, "role": user.role,
        "external_id": user.external_id, "alias": user.alias, "details": user.details, "notes": user.notes,
        "locale": user.locale, "time_zone": user.time_zone, "iana_time_zone": iana(&user.time_zone), "organization_id": user.organization_id,
        "organization_ids": organizations, "tags": user.tags, "fields": user.fields, "active": user.active,
        "deleted": !user.active && user.merged_into.is_none(), "permanently_deleted": user.permanently_deleted,
        "merged_into": user.merged_into, "suspended": user.suspended, "verified": user.verified,
        "identities": identities, "created_at": user.created_at, "updated_at": user.updated_at})
}

fn organization(organization: &Organization) -> Value {
    json!({"id": organization.id, "name": organization.name, "external_id": organization.external_id,
        "domain_names": organization.domain_names, "details": organization.details, "notes": organization.notes,
        "group_id": organization.group_id, "tags": organization.tags, "fields": organization.fields,
        "shared_tickets": organization.shared_tickets, "created_at": organization.created_at,
        "updated_at": organization.updated_at, "deleted_at": organization.deleted_at})
}

fn ticket(ticket: &Ticket) -> Value {
    let comments: Vec<_> = ticket
        .comments()
        .map(|(audit, id, comment)| {
            let files: Vec<_> =
                comment.attachments.iter().map(|a| json!({"id": a.id, "file_name": a.file_name})).collect();
            json!({"id": id, "audit_id": audit.id, "author_id": comment.author_id, "public": comment.public,
            "body": comment.body, "created_at": audit.created_at, "attachments": files})
        })
        .collect();
    let audits: Vec<_> = ticket.audits.iter().map(audit).collect();
    let fields: BTreeMap<_, _> = ticket.fields.iter().map(|(id, value)| (id.to_string(), value)).collect();
    json!({"id": ticket.id, "external_id": ticket.external_id, "channel": ticket.channel, "subject": ticket.subject,
        "description": ticket.description(), "status": ticket.status_word(), "inner_status": ticket.status,
        "custom_status_id": ticket.custom_status_id, "priority": ticket.priority, "type": ticket.kind,
        "requester_id": ticket.requester_id, "submitter_id": ticket.submitter_id, "assignee_id": ticket.assignee_id,
        "organization_id": ticket.organization_id, "group_id": ticket.group_id, "tags": ticket.tags, "fields": fields,
        "email_cc_ids": ticket.email_cc_ids, "rating_id": ticket.rating_id, "merged_into": ticket.merged_into,
        "deleted": ticket.gone != Gone::No, "scrubbed": ticket.gone == Gone::Scrubbed,
        "deleted_at": ticket.deleted.map(|(at, _)| at), "created_at": ticket.created_at,
        "updated_at": ticket.updated_at, "generated_timestamp": ticket.generated.0,
        "comments": comments, "audits": audits})
}

fn audit(audit: &Audit) -> Value {
    let events: Vec<_> = audit
        .events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Create(field, value) => {
                json!({"id": event.id, "kind": "create", "field": field.name(), "value": value})
            }
            EventKind::Change(field, value, before) => {
                json!({"id": event.id, "kind": "change", "field": field.name(), "value": value, "before": before})
            }
            EventKind::Mark(kind, comment, file) => {
                json!({"id": event.id, "kind": kind, "comment_id": comment, "attachment_id": file})
            }
            EventKind::Notify(notice, recipients) => {
                json!({"id": event.id, "kind": "notification", "rule": notice.title, "recipients": recipients})
            }
            EventKind::Comment(comment) => json!({"id": event.id, "kind": "comment", "author_id": comment.author_id,
            "public": comment.public, "body": comment.body}),
        })
        .collect();
    json!({"id": audit.id, "created_at": audit.created_at, "author_id": audit.author_id, "channel": audit.channel,
        "events": events})
}

fn rating(rating: &Rating) -> Value {
    json!({"id": rating.id, "survey_response_id": rating.survey_response_id(), "ticket_id": rating.ticket_id,
        "requester_id": rating.requester_id, "assignee_id": rating.assignee_id, "score": rating.score.word(),
        "comment": rating.comment, "reason": rating.reason.map(|(_, text)| text), "created_at": rating.created_at,
        "updated_at": rating.updated_at})
}

fn counts(world: &World) -> Reply {
    let users = world.users.values();
    let deleted = world.users.values().filter(|u| !u.active && u.merged_into.is_none()).count();
    let tickets = world.tickets.values();
    let audits: usize = world.tickets.values().map(|ticket| ticket.audits.len()).sum();
    let comments: usize = world.tickets.values().map(|ticket| ticket.comments().count()).sum();
    Reply::ok(&json!({"users": world.users.len(), "active_users": users.filter(|u| u.active).count(),
        "deleted_users": deleted, "merged_users": world.users.values().filter(|u| u.merged_into.is_some()).count(),
        "permanently_deleted_users": world.users.values().filter(|u| u.permanently_deleted).count(),
        "organizations": world.organizations.len(),
        "deleted_organizations": world.organizations.values().filter(|o| o.deleted_at.is_some()).count(),
        "tickets": world.tickets.len(), "deleted_tickets": tickets.filter(|t| t.gone == Gone::Deleted).count(),
        "scrubbed_tickets": world.tickets.values().filter(|t| t.gone == Gone::Scrubbed).count(),
        "audits": audits, "comments": comments, "ratings": world.ratings.len(),
        "webhooks": world.hooks.all.len(), "acts": world.next_act() - 1}))
}
