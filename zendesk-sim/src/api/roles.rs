//! What each role may do: the 403s that have nothing to do with a token's scopes (Z§10).
use crate::http::{Caller, Req};
use crate::world::user::Role;

/// Whether the asker's role keeps them from this.
pub fn refuses(caller: &Caller, req: &Req) -> bool {
    let parts = req.slices();
    match caller.role {
        Role::Admin => false,
        Role::Agent => req.method != "GET" && for_admins(&req.method, &parts),
        Role::EndUser => !for_end_users(&req.method, &parts, caller.user_id),
    }
}

/// What only admins change.
fn for_admins(method: &str, parts: &[&str]) -> bool {
    match parts {
        ["user_fields" | "organization_fields" | "ticket_fields" | "groups" | "group_memberships", ..] => true,
        ["custom_statuses" | "brands" | "ticket_forms" | "custom_roles" | "deleted_users" | "imports", ..] => true,
        ["users", "destroy_many"] => true,
        ["users", _] => method == "DELETE",
        ["users", _, "group_memberships", ..] => true,
        ["organizations", _, "merge"] | ["organizations", "create_or_update" | "create_many"] => true,
        ["organizations"] => method == "POST",
        ["organizations", _] => method == "DELETE",
        ["deleted_tickets", ..] => method == "DELETE",
        _ => false,
    }
}

/// What customers may see and do: themselves, their requests, and rating a ticket.
fn for_end_users(method: &str, parts: &[&str], own: i64) -> bool {
    let own = own.to_string();
    match parts {
        ["users", "me", ..] | ["oauth", ..] | ["requests", ..] | ["locales", ..] => true,
        ["users", id] => *id == own && method != "DELETE",
        ["users", id, "identities", ..] => *id == own,
        ["tickets", _, "satisfaction_rating"] => method == "POST",
        ["ticket_forms" | "brands", ..] => method == "GET",
        _ => false,
    }
}
