//! The REST endpoints: which path goes where.
pub mod ask;
pub mod bulk;
pub mod deleted_tickets;
pub mod export;
pub mod fields;
pub mod furniture;
pub mod groups;
pub mod identities;
pub mod memberships;
pub mod oauth;
pub mod organizations;
pub mod ratings;
pub mod requests;
pub mod roles;
pub mod search;
pub mod sideload;
pub mod ticket_ask;
pub mod ticket_comments;
pub mod ticket_parts;
pub mod tickets;
pub mod uploads;
pub mod user_ask;
pub mod user_parts;
pub mod users;
pub mod views;
pub mod webhook_lists;
pub mod webhooks;

use crate::acts::By;
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::catalog::FieldsOf;

impl Caller {
    /// The caller as somebody who does something.
    pub fn by(&self) -> By {
        By { user_id: self.user_id, channel: "api" }
    }
}

/// Sends a request to its endpoint.
pub fn route(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    if roles::refuses(caller, req) {
        return Reply::forbidden();
    }
    let parts = req.slices();
    let found = match parts.first().copied().unwrap_or_default() {
        "users" => users::route(world, caller, req, &parts),
        "deleted_users" => user_parts::deleted(world, caller, req, &parts),
        "incremental" => Some(export::route(world, caller, req, &parts)),
        "organizations" => organizations::route(world, caller, req, &parts),
        "organization_merges" => organizations::merges(world, req, &parts[1..]),
        "tickets" => tickets::route(world, caller, req, &parts),
        "deleted_tickets" => deleted_tickets::route(world, caller, req, &parts[1..]),
        "satisfaction_ratings" | "satisfaction_reasons" | "guide" => ratings::route(world, req, &parts),
        "webhooks" => webhooks::route(world, caller, req, &parts),
        "oauth" => oauth::route(world, caller, req, &parts),
        "search" => search::route(world, caller, req, &parts[1..]),
        of @ ("organization_memberships" | "group_memberships")
            if matches!(parts.get(1), Some(&("create_many" | "destroy_many"))) =>
        {
            bulk::memberships(world, caller, req, of, parts[1])
        }
        "job_statuses" => bulk::status::route(world, caller, req, &parts),
        "user_fields" => fields::route(world, caller, req, FieldsOf::Users, &parts[1..]),
        "organization_fields" => fields::route(world, caller, req, FieldsOf::Organizations, &parts[1..]),
        "ticket_fields" => fields::route(world, caller, req, FieldsOf::Tickets, &parts[1..]),
        "groups" => groups::route(world, caller, req, &parts[1..]),
        "organization_memberships" => memberships::route(world, caller, req, None, &parts[1..]),
        "group_memberships" => groups::route_memberships(world, caller, req, None, &parts[1..]),
        "ticket_metrics" => ticket_parts::metrics(world, req, &parts[1..]),
        "problems" => ticket_parts::problems(world, req, &parts[1..]),
        "comment_redactions" => ticket_comments::redaction(world, caller, req, &parts[1..]),
        "imports" => tickets::import(world, caller, req, &parts[1..]),
        "uploads" => uploads::route(world, caller, req, &parts[1..]),
        "attachments" => uploads::attachment(world, req, &parts[1..]),
        "requests" => requests::route(world, caller, req, &parts[1..]),
        "views" => views::route(world, caller, req, &parts[1..]),
        _ => furniture::route(world, caller, req, &parts),
    };
    let reply = found.unwrap_or_else(Reply::no_endpoint);
    if parts.first() == Some(&"incremental") { reply } else { sideload::add(world, req, reply) }
}
