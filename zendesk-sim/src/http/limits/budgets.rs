//! Which budgets a request takes from (Z§3–§6, §8.1).
use crate::http::{Caller, Req};
use crate::options::Options;
use crate::options::{Plan, Rates};
use crate::world::World;

/// A budget: so many requests in so many seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct Budget {
    /// What it is called in the settings and, but for the account's own, in its header.
    pub name: &'static str,
    /// Whether a header tells of it.
    pub told: bool,
    /// What tells one record's budget from another's.
    pub key: String,
    /// Its window.
    pub seconds: i64,
    /// How many.
    pub total: u32,
}

/// Whose limits hold, and how they are kept and told.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The plan.
    pub plan: Plan,
    /// What the settings say.
    pub rates: Rates,
    /// How many simulated seconds pass in a real one.
    pub factor: f64,
}

impl Terms {
    /// The terms of a run.
    pub fn new(options: &Options, factor: f64) -> Self {
        Self { plan: options.plan, rates: options.rates.clone(), factor }
    }

    fn budget(&self, name: &'static str, seconds: i64, total: u32) -> Budget {
        let total = self.rates.totals.get(name).copied().unwrap_or(total);
        Budget { name, told: true, key: String::new(), seconds, total }
    }

    /// The budgets that the whole account, or a whole API, shares: first the ceiling that no header tells of.
    pub fn shared(&self, req: &Req) -> [Budget; 2] {
        let ceiling = self.budget("ceiling", 60, 100_000);
        let whole = match req.parts.first().map(String::as_str) {
            Some("webhooks") => self.budget("webhooks", 60, 100),
            // Help Center has a bucket of its own, as large.
            Some("help_center") => self.budget("help_center", 60, self.plan.requests()),
            _ => self.budget("account", 60, self.plan.requests()),
        };
        [Budget { told: false, ..ceiling }, whole]
    }

    /// The budgets of the endpoint.
    pub fn special(&self, world: &World, caller: &Caller, req: &Req) -> Vec<Budget> {
        let parts = req.slices();
        match (req.method.as_str(), parts.as_slice()) {
            ("GET", ["incremental", _, "sample"]) => vec![self.budget("incremental-exports-sample", 1_200, 10)],
            ("GET", ["incremental", ..]) => vec![self.budget("incremental-exports", 60, self.plan.exports())],
            ("GET", ["search", "export"]) => vec![self.budget("search-export", 60, 100)],
            ("GET", ["search", ..] | ["users" | "organizations", "search"]) => {
                vec![self.budget("search-index", 60, 2_500)]
            }
            ("GET", ["views", id, "execute" | "count" | "tickets"]) => {
                let view = self.budget("views-execute", 60, 5);
                vec![Budget { key: format!("{id} {}", caller.user_id), ..view }]
            }
            ("GET", ["attachments", ..]) => vec![self.budget("attachments", 60, 2_500)],
            ("GET", _) => self.lists(req, &parts),
            ("DELETE", ["deleted_users", _]) => vec![self.budget("permanently-delete-user", 600, 700)],
            ("DELETE", ["tickets", id]) if number(id) => vec![self.budget("tickets-delete", 60, 400)],
            _ => self.updates(world, caller, req, &parts),
        }
    }

    /// Lists, whose far pages cost more.
    fn lists(&self, req: &Req, parts: &[&str]) -> Vec<Budget> {
        let page = req.number("page").unwrap_or(1);
        match parts {
            ["tickets"] => {
                let mut budgets = vec![self.budget("tickets-index", 60, if self.high() { 300 } else { 100 })];
                if page > 500 {
                    budgets.push(self.budget("tickets-index-deep-pagination", 60, 50));
                }
                budgets
            }
            ["tags"] if page > 500 => vec![self.budget("tags-index", 60, 50)],
            ["users"] | ["groups" | "organizations", _, "users"] if page > 10_000 => {
                vec![self.budget("users-index-deep-pagination", 60, 100)]
            }
            ["deleted_tickets"] => vec![self.budget("deleted-tickets-index", 60, 10)],
            _ => Vec::new(),
        }
    }

    fn updates(&self, world: &World, caller: &Caller, req: &Req, parts: &[&str]) -> Vec<Budget> {
        match (req.method.as_str(), parts) {
            ("PUT", ["tickets", id, rest @ ..]) if number(id) => {
                let one = self.budget("per-ticket-updates", 600, 30);
                let one = Budget { key: format!("{id} {}", caller.user_id), ..one };
                let usual = if self.high() { 300 } else { 100 };
                let all = self.budget("tickets-update", 60, if self.rates.trial { 20 } else { usual });
                if rest.is_empty() { vec![all, one] } else { vec![one] }
            }
            ("POST", ["tickets"]) => {
                let by_user = self.budget("ticket-request-create-by-user-and-ip", 60, 300);
                vec![Budget { key: caller.user_id.to_string(), ..by_user }]
            }
            ("PUT", ["users", id]) if number(id) => self.user_update((*id).to_owned()),
            ("POST", ["users", "create_or_update"]) => self.user_update(user_meant(world, req)),
            ("PUT", ["organizations", id]) if number(id) => {
                vec![Budget { key: (*id).to_owned(), ..self.budget("organizations-update", 60, 5) }]
            }
            _ => Vec::new(),
        }
    }

    /// Five a minute for each user, and one a second for the account, which no header tells of.
    fn user_update(&self, key: String) -> Vec<Budget> {
        let account = self.budget("create-update-user-account", 1, 1);
        vec![Budget { key, ..self.budget("create-update-user", 60, 5) }, Budget { told: false, ..account }]
    }

    fn high(&self) -> bool {
        self.plan == Plan::HighVolume
    }
}

fn number(part: &str) -> bool {
    part.parse::<i64>().is_ok()
}

/// The user that a create_or_update is about: its id if it is there, what it is called by otherwise.
fn user_meant(world: &World, req: &Req) -> String {
    let text = |name: &str| req.body["user"][name].as_str().unwrap_or_default().to_lowercase();
    let (external, email) = (text("external_id"), text("email"));
    let known = world.index.user_external.get(&external).or_else(|| world.index.emails.get(&email));
    known.map_or_else(|| format!("{external} {email}"), i64::to_string)
}
