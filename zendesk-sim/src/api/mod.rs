//! The REST endpoints: which path goes where.
pub mod bulk;
pub mod export;
pub mod furniture;
pub mod oauth;
pub mod organizations;
pub mod ratings;
pub mod search;
pub mod ticket_parts;
pub mod tickets;
pub mod user_parts;
pub mod users;
pub mod webhook_lists;
pub mod webhooks;

use crate::acts::By;
use crate::http::{Caller, Reply, Req};
use crate::world::World;

impl Caller {
    /// The caller as somebody who does something.
    pub fn by(&self) -> By {
        By { user_id: self.user_id, channel: "api" }
    }
}

/// Sends a request to its endpoint.
pub fn route(world: &mut World, caller: &Caller, req: &Req) -> Reply {
    let parts = req.slices();
    let found = match parts.first().copied().unwrap_or_default() {
        "users" => users::route(world, caller, req, &parts),
        "deleted_users" => user_parts::deleted(world, caller, req, &parts),
        "incremental" => Some(export::route(world, caller, req, &parts)),
        "organizations" => organizations::route(world, caller, req, &parts),
        "tickets" => tickets::route(world, caller, req, &parts),
        "deleted_tickets" => ticket_parts::deleted(world, caller, req, &parts),
        "satisfaction_ratings" | "guide" => ratings::route(world, req, &parts),
        "webhooks" => webhooks::route(world, caller, req, &parts),
        "oauth" => oauth::route(world, caller, req, &parts),
        "search" => search::route(world, req, &parts),
        "job_statuses" => bulk::status(world, caller, req, &parts),
        _ => furniture::route(world, req, &parts),
    };
    found.unwrap_or_else(Reply::no_endpoint)
}
