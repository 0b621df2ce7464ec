//! The budgets of an account, in one table: what Zendesk allows, and which of them a request is taken from (Z§6).
//!
//! A request's budgets follow from its method, path and body, so that nobody who makes requests has to think of limits. The
//! totals stand here as they are before Zendesk's headers have told the account's own.

use crate::model::record::digest;
use reqwest::Method;
use serde_json::Value;

/// One budget that Zendesk counts by time. How many bulk jobs are queued or running at once is none: whoever begins them counts
/// those that are open, and [`Client::jobs_left`](super::client::Client::jobs_left) tells what Zendesk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Budget {
    /// All requests of the account but those to the webhooks API.
    Requests,
    /// The webhooks API, which counts for itself.
    Webhooks,
    /// All incremental exports together.
    Exports,
    /// The exports' samples.
    Samples,
    /// The list of tickets.
    TicketList,
    /// The list of deleted tickets.
    DeletedTickets,
    /// The search export.
    SearchExport,
    /// Changes of tickets.
    TicketUpdates,
    /// Changes of one ticket.
    UpdatesOfTicket,
    /// Deletions of tickets.
    TicketDeletions,
    /// Single writes of users.
    UserWrites,
    /// Single writes of one user.
    WritesOfUser,
    /// Single writes of one organization.
    WritesOfOrganization,
    /// Users deleted for good.
    Erasures,
    /// All requests to Zendesk Sell, which is a source of its own.
    Sell,
}

/// What Zendesk allows of a budget.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The budget.
    pub budget: Budget,
    /// Its name in the database and in metrics.
    pub name: &'static str,
    /// The names by which Zendesk's headers `zendesk-ratelimit-{name}` tell of it.
    pub headers: &'static [&'static str],
    /// Seconds after which it is whole again.
    pub seconds: u32,
    /// Requests in that time, before a header has told the account's own number.
    pub total: u32,
}

const fn limit(
    budget: Budget,
    name: &'static str,
    headers: &'static [&'static str],
    seconds: u32,
    total: u32,
) -> Limit {
    Limit { budget, name, headers, seconds, total }
}

/// Every budget (Z§6). The first two are told by `x-rate-limit` and `ratelimit-*`. The totals of the plans differ for `Requests`
/// (settings) and `Exports` (settings); with the High Volume add-on, lists and changes of tickets have 300. Zendesk Sell allows a
/// token 36,000 an hour, which is 10 a second, and tells nothing by headers (Z§9).
pub const LIMITS: [Limit; 15] = [
    limit(Budget::Requests, "requests", &[], 60, 200),
    limit(Budget::Webhooks, "webhooks", &[], 60, 100),
    limit(Budget::Exports, "incremental", &["incremental-exports"], 60, 10),
    limit(Budget::Samples, "samples", &["incremental-exports-sample"], 1200, 10),
    limit(Budget::TicketList, "ticket_list", &["tickets-index"], 60, 100),
    limit(Budget::DeletedTickets, "deleted_tickets", &["deleted-tickets-index"], 60, 10),
    limit(Budget::SearchExport, "search_export", &["search-export"], 60, 100),
    limit(Budget::TicketUpdates, "ticket_updates", &["tickets-update"], 60, 100),
    limit(Budget::UpdatesOfTicket, "updates_of_ticket", &["per-ticket-updates"], 600, 30),
    limit(Budget::TicketDeletions, "ticket_deletions", &["tickets-delete"], 60, 400),
    limit(Budget::UserWrites, "user_writes", &["create-update-user-account"], 1, 1),
    limit(Budget::WritesOfUser, "writes_of_user", &["create-update-user"], 60, 5),
    limit(Budget::WritesOfOrganization, "writes_of_organization", &["organizations-update"], 60, 5),
    limit(Budget::Erasures, "erasures", &["permanently-delete-user"], 600, 700),
    limit(Budget::Sell, "sell", &[], 1, 10),
];

impl Budget {
    /// What Zendesk allows of it.
    pub fn limit(self) -> &'static Limit {
        &LIMITS[self as usize]
    }
}

/// A budget that a request is taken from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Draw {
    /// The budget.
    pub budget: Budget,
    /// Whose, where each record has one of its own; empty for the account's.
    pub key: String,
}

impl From<Budget> for Draw {
    fn from(budget: Budget) -> Draw {
        Draw { budget, key: String::new() }
    }
}

/// The budgets of a request, the widest first. `path` may have parameters.
pub fn draws(method: &Method, path: &str, body: Option<&Value>) -> Vec<Draw> {
    let path = path.split('?').next().unwrap_or(path);
    if path.starts_with("/v2/") {
        return vec![Budget::Sell.into()];
    }
    let path = path.strip_prefix("/api/v2/").unwrap_or(path).trim_end_matches(".json");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.first() == Some(&"webhooks") {
        return vec![Budget::Webhooks.into()];
    }
    let mut draws = vec![Draw::from(Budget::Requests)];
    draws.extend(special(method.as_str(), &parts, body));
    draws
}

/// The budgets of single endpoints.
fn special(method: &str, parts: &[&str], body: Option<&Value>) -> Vec<Draw> {
    let of = |budget, id: &str| Draw { budget, key: id.to_string() };
    let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (method, parts) {
        ("GET", ["incremental", .., "sample"]) => vec![Budget::Exports.into(), Budget::Samples.into()],
        ("GET", ["incremental", ..]) => vec![Budget::Exports.into()],
        ("GET", ["tickets"]) => vec![Budget::TicketList.into()],
        ("GET", ["deleted_tickets"]) => vec![Budget::DeletedTickets.into()],
        ("GET", ["search", "export"]) => vec![Budget::SearchExport.into()],
        ("PUT", ["tickets", id]) if is_id(id) => {
            vec![Budget::TicketUpdates.into(), of(Budget::UpdatesOfTicket, id)]
        }
        ("DELETE", ["tickets", id]) if is_id(id) => vec![Budget::TicketDeletions.into()],
        ("PUT", ["users", id]) if is_id(id) => vec![Budget::UserWrites.into(), of(Budget::WritesOfUser, id)],
        ("POST", ["users", "create_or_update"]) => {
            vec![Budget::UserWrites.into(), of(Budget::WritesOfUser, &user_of(body))]
        }
        ("PUT", ["organizations", id]) if is_id(id) => vec![of(Budget::WritesOfOrganization, id)],
        ("DELETE", ["deleted_users", _]) => vec![Budget::Erasures.into()],
        _ => Vec::new(),
    }
}

/// Whom a create-or-update is about: a digest, since an address has no place among budgets.
fn user_of(body: Option<&Value>) -> String {
    let user = body.map(|body| &body["user"]).unwrap_or(&Value::Null);
    let named = ["external_id", "email"].iter().map(|name| user[*name].to_string().to_lowercase());
    format!("{:x}", digest(&named.collect::<Vec<_>>(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_in_the_order_of_the_budgets() {
        for (place, limit) in LIMITS.iter().enumerate() {
            assert_eq!((limit.budget as usize, limit.budget.limit().name), (place, limit.name));
        }
    }

    #[test]
    fn a_request_is_taken_from_the_budgets_of_its_endpoint_z6() {
        use Budget::*;
        let check = |method: Method, path: &str, expected: &[(Budget, &str)]| {
            let found = draws(&method, path, None);
            let found: Vec<(Budget, &str)> = found.iter().map(|draw| (draw.budget, draw.key.as_str())).collect();
            assert_eq!(found, expected, "{method} {path}");
        };
        check(Method::GET, "/api/v2/users/show_many?ids=1,2", &[(Requests, "")]);
        check(Method::GET, "/api/v2/incremental/users/cursor?start_time=1", &[(Requests, ""), (Exports, "")]);
        check(Method::GET, "/api/v2/incremental/ticket_events.json", &[(Requests, ""), (Exports, "")]);
        check(Method::GET, "/api/v2/incremental/users/sample", &[(Requests, ""), (Exports, ""), (Samples, "")]);
        check(Method::GET, "/api/v2/webhooks/01H/signing_secret", &[(Webhooks, "")]);
        check(Method::GET, "/api/v2/search/export?query=x", &[(Requests, ""), (SearchExport, "")]);
        check(Method::GET, "/api/v2/tickets", &[(Requests, ""), (TicketList, "")]);
        check(Method::PUT, "/api/v2/tickets/7", &[(Requests, ""), (TicketUpdates, ""), (UpdatesOfTicket, "7")]);
        check(Method::PUT, "/api/v2/users/7", &[(Requests, ""), (UserWrites, ""), (WritesOfUser, "7")]);
        check(Method::PUT, "/api/v2/organizations/7", &[(Requests, ""), (WritesOfOrganization, "7")]);
        check(Method::POST, "/api/v2/users/create_or_update_many", &[(Requests, "")]);
        check(Method::DELETE, "/api/v2/tickets/destroy_many?ids=1", &[(Requests, "")]);
        check(Method::POST, "/v2/contacts/upsert?email=a%40b.example", &[(Sell, "")]);
        check(Method::GET, "/v2/contacts?ids=1,2", &[(Sell, "")]);
        check(Method::DELETE, "/api/v2/deleted_users/7", &[(Requests, ""), (Erasures, "")]);
    }

    #[test]
    fn who_is_created_or_updated_has_one_budget_whatever_the_case() {
        let key = |email: &str| {
            let body = json!({"user": {"email": email}});
            draws(&Method::POST, "/api/v2/users/create_or_update", Some(&body)).pop().expect("a budget").key
        };
        assert_eq!(key("homer@springfield.io"), key("Homer@Springfield.io"));
        assert_ne!(key("homer@springfield.io"), key("marge@springfield.io"));
        assert!(!key("homer@springfield.io").contains("homer"));
    }
}
