//! Turns a change into webhook events: envelope, detail, and a place in the queue of every webhook that wants it.
use super::ulid::{ulid, uuid};
use crate::options::EventIds;
use crate::time::Stamp;
use crate::world::World;
use crate::world::hooks::Due;
use crate::world::organization::Organization;
use crate::world::ticket::{Gone, Ticket};
use crate::world::user::User;
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What happened, as the last part of an event type and its `event` object.
pub type Events = Vec<(&'static str, Value)>;

impl World {
    /// Tells what happened to a user.
    pub fn announce_user(&mut self, id: i64, now: Stamp, events: Events) {
        let Some(user) = self.users.get(&id).filter(|_| !self.quiet) else { return };
        let detail = user_detail(user);
        for (kind, event) in events {
            let version = if kind == "user.deleted" { "2022-11-06" } else { "2022-06-20" };
            self.tell(now, kind, version, format!("zen:user:{id}"), &detail, event);
        }
    }

    /// Tells what happened to an organization.
    pub fn announce_organization(&mut self, id: i64, now: Stamp, events: Events) {
        let Some(organization) = self.organizations.get(&id).filter(|_| !self.quiet) else { return };
        let detail = organization_detail(organization);
        for (kind, event) in events {
            self.tell(now, kind, "2022-06-20", format!("zen:organization:{id}"), &detail, event);
        }
    }

    /// Tells what happened to a ticket, as one sequence.
    pub fn announce_ticket(&mut self, id: i64, actor: i64, now: Stamp, events: Events) {
        if self.quiet || self.hooks.all.is_empty() {
            return;
        }
        let Some(ticket) = self.tickets.get(&id) else { return };
        let detail = self.ticket_detail(ticket, actor);
        let is_new = events.iter().any(|(kind, _)| *kind == "ticket.created");
        let sequence = uuid(self.chance.random());
        for (position, (kind, mut event)) in (1..).zip(events) {
            event["meta"] = json!({"sequence": {"id": sequence, "position": position}});
            self.tell(now, kind, "2022-11-06", format!("zen:ticket:{id}"), &detail, event);
        }
        self.fire_triggers(id, is_new, now);
    }

    /// Sends an event of any type about a record as it is now: for what no act causes. False when there is no such record.
    pub fn announce(&mut self, kind: &str, id: i64, now: Stamp, mut event: Value) -> bool {
        let (about, version, detail) = match kind.split_once('.') {
            Some(("user", _)) => ("user", "2022-06-20", self.users.get(&id).map(user_detail)),
            Some(("organization", _)) => {
                ("organization", "2022-06-20", self.organizations.get(&id).map(organization_detail))
            }
            Some(("ticket", _)) => {
                event["meta"] = json!({"sequence": {"id": uuid(self.chance.random()), "position": 1}});
                ("ticket", "2022-11-06", self.tickets.get(&id).map(|ticket| self.ticket_detail(ticket, -1)))
            }
            _ => return false,
        };
        let Some(detail) = detail else { return false };
        self.tell(now, kind, version, format!("zen:{about}:{id}"), &detail, event);
        true
    }

    fn tell(&mut self, now: Stamp, kind: &str, version: &str, subject: String, detail: &Value, event: Value) {
        if !self.hooks.wants(kind) {
            return;
        }
        let at_random = self.chance.random_bool(0.8);
        let id = match self.faults.webhook_event_ids {
            None if !at_random => ulid(now.0 * 1000, self.chance.random()),
            Some(EventIds::Ulid) => ulid(now.0 * 1000, self.chance.random()),
            _ => uuid(self.chance.random()),
        };
        let body = json!({"account_id": self.account_id, "detail": detail, "event": event, "id": id,
            "subject": subject, "time": self.fraction(now), "type": format!("zen:event-type:{kind}"),
            "zendesk_event_version": version});
        let body: Arc<str> = pretty(&body).into();
        let wanting: Vec<_> =
            self.hooks.all.values().filter(|hook| hook.wants(kind)).map(|hook| hook.id.clone()).collect();
        for webhook_id in wanting {
            self.enqueue(now, &webhook_id, kind, &body);
        }
    }

    /// Puts an event into a webhook's queue, or not, or twice, as the faults have it.
    pub fn enqueue(&mut self, now: Stamp, webhook_id: &str, kind: &str, body: &Arc<str>) {
        let dropped = self.chance.random_bool(self.faults.drop_webhooks.clamp(0.0, 1.0));
        if dropped && !self.faults.keep_webhooks.iter().any(|kept| kept == kind) {
            self.hooks.counts.dropped += 1;
            return;
        }
        let twice = self.chance.random_bool(self.faults.duplicate_webhooks.clamp(0.0, 1.0));
        self.hooks.counts.duplicated += u64::from(twice);
        for _ in 0..=usize::from(twice) {
            let mut due_ms = now.0 * 1000 + (self.faults.delay_webhooks * 1000.0) as i64;
            if self.chance.random_bool(self.faults.reorder_webhooks.clamp(0.0, 1.0)) {
                due_ms += self.chance.random_range(1_000..20_000);
            }
            let invocation_id = ulid(now.0 * 1000, self.chance.random());
            self.hooks.due.push_back(Due {
                webhook_id: webhook_id.to_owned(),
                invocation_id,
                body: Arc::clone(body),
                due_ms,
                timeouts: 0,
                conflicts: 0,
                deferrals: 0,
                held: 0,
            });
        }
    }

    /// The same second, written with none, three or nine digits of fraction, or as many as the faults ask for.
    fn fraction(&mut self, now: Stamp) -> String {
        let whole = now.to_string();
        let stem = whole.trim_end_matches('Z');
        let usual = self.chance.random_range(0..3);
        let nanos = format!("{:09}", self.chance.random_range(0..1_000_000_000));
        match self.faults.webhook_time_digits.unwrap_or([0, 3, 9][usual]).min(9) {
            0 => whole,
            digits => format!("{stem}.{}Z", &nanos[..digits]),
        }
    }

    fn ticket_detail(&self, ticket: &Ticket, actor: i64) -> Value {
        let status = match ticket.gone {
            Gone::No => ticket.status.word().to_uppercase(),
            Gone::Deleted => "DELETED".into(),
            Gone::Scrubbed => "SCRUBBED".into(),
        };
        json!({"actor_id": actor.to_string(), "assignee_id": maybe(ticket.assignee_id),
            "brand_id": self.catalog.brand_id.to_string(), "created_at": ticket.created_at,
            "custom_status": ticket.custom_status_id.to_string(), "description": ticket.description(),
            "external_id": ticket.external_id, "form_id": self.catalog.form_id.to_string(),
            "group_id": maybe(ticket.group_id), "id": ticket.id.to_string(), "is_public": ticket.is_public(),
            "organization_id": maybe(ticket.organization_id),
            "priority": ticket.priority.map(|p| p.word().to_uppercase()),
            "requester_id": ticket.requester_id.to_string(), "status": status, "subject": ticket.subject,
            "submitter_id": ticket.submitter_id.to_string(), "tags": ticket.tags,
            "type": ticket.kind.map(|k| k.word().to_uppercase()), "updated_at": ticket.updated_at,
            "via": {"channel": channel(ticket.channel)}})
    }
}

/// Webhooks spell one channel in another way than REST.
fn channel(channel: &str) -> &str {
    if channel == "api" { "web_service" } else { channel }
}

fn maybe(id: Option<i64>) -> Option<String> {
    id.map(|id| id.to_string())
}

fn or_zero(id: Option<i64>) -> String {
    id.unwrap_or(0).to_string()
}

/// The snapshot of a user that every event about one carries.
pub fn user_detail(user: &User) -> Value {
    json!({"created_at": user.created_at, "default_group_id": or_zero(user.default_group_id),
        "email": user.email.as_deref().filter(|_| user.active).unwrap_or(""),
        "external_id": user.external_id.as_deref().unwrap_or(""), "id": user.id.to_string(),
        "organization_id": or_zero(user.organization_id), "role": user.role.word(), "updated_at": user.updated_at})
}

fn organization_detail(organization: &Organization) -> Value {
    json!({"created_at": organization.created_at,
        "external_id": organization.external_id.as_deref().unwrap_or(""),
        "group_id": or_zero(organization.group_id), "id": organization.id.to_string(), "name": organization.name,
        "shared_comments": false, "shared_tickets": organization.shared_tickets,
        "updated_at": organization.updated_at})
}

/// Three spaces of indent, sorted keys, an end of line at the end, and a blank in an empty `event`.
fn pretty(body: &Value) -> String {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, indent);
    body.serialize(&mut writer).expect("invariant: a value is always JSON");
    let text = String::from_utf8(bytes).expect("invariant: JSON is UTF-8");
    text.replace("\n   \"event\": {}", "\n   \"event\": { }") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_look_as_live_ones_do() {
        let text = pretty(&json!({"id": "a", "event": {}, "account_id": 1}));
        assert_eq!(text, "{\n   \"account_id\": 1,\n   \"event\": { },\n   \"id\": \"a\"\n}\n");
    }
}
