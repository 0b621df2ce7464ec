//! What Zendesk measures about a ticket, worked out from its history.
use super::World;
use super::audit::{EventKind, Field};
use super::ticket::{Status, Ticket};
use super::user::Role;
use crate::time::Stamp;
use serde_json::{Value, json};

/// Metrics have ids of their own: this far from their ticket's.
const METRIC_ID: i64 = 7_300_000_000_000;

/// What a history tells.
#[derive(Default)]
struct Told {
    groups: u32,
    assignees: u32,
    reopens: u32,
    replies: u32,
    first_reply: Option<Stamp>,
    assigned: Option<(Stamp, Stamp)>,
    by_assignee: Option<Stamp>,
    by_requester: Option<Stamp>,
    status_at: Option<Stamp>,
    custom_status_at: Option<Stamp>,
    solved: Option<(Stamp, Stamp)>,
    commented: Option<Stamp>,
    /// Seconds spent waiting for the agent (requester), for the requester (agent), on hold.
    waits: [i64; 3],
}

impl World {
    /// A ticket's metrics as REST writes them.
    pub fn ticket_metrics(&self, ticket: &Ticket) -> Value {
        let told = self.read_history(ticket);
        let id = METRIC_ID + ticket.id;
        let minutes = |seconds: Option<i64>| {
            let minutes = seconds.map(|seconds| seconds / 60);
            json!({"calendar": minutes, "business": minutes})
        };
        let since = |at: Stamp| at.0 - ticket.created_at.0;
        let solved_now = ticket.status >= Status::Solved;
        let seconds = told.first_reply.map(since);
        let mut value = json!({"url": format!("{}/api/v2/ticket_metrics/{id}.json", self.host), "id": id,
            "ticket_id": ticket.id, "created_at": ticket.created_at, "updated_at": ticket.updated_at,
            "group_stations": told.groups, "assignee_stations": told.assignees, "reopens": told.reopens,
            "replies": told.replies, "assignee_updated_at": told.by_assignee,
            "requester_updated_at": told.by_requester.unwrap_or(ticket.created_at),
            "status_updated_at": told.status_at.unwrap_or(ticket.created_at),
            "initially_assigned_at": told.assigned.map(|(first, _)| first),
            "assigned_at": told.assigned.map(|(_, last)| last),
            "solved_at": told.solved.map(|(_, last)| last).filter(|_| solved_now),
            "latest_comment_added_at": told.commented.unwrap_or(ticket.created_at),
            "custom_status_updated_at": told.custom_status_at.or(told.status_at).unwrap_or(ticket.created_at)});
        value["reply_time_in_minutes"] = minutes(seconds);
        value["reply_time_in_seconds"] = json!({"calendar": seconds});
        value["first_resolution_time_in_minutes"] = minutes(told.solved.map(|(first, _)| since(first)));
        let last = told.solved.filter(|_| solved_now);
        value["full_resolution_time_in_minutes"] = minutes(last.map(|(_, last)| since(last)));
        // Nobody has waited on a ticket whose status never changed.
        let waited = |time| minutes(Some(time).filter(|_| told.solved.is_some() || told.waits.iter().any(|w| *w > 0)));
        value["requester_wait_time_in_minutes"] = waited(told.waits[0]);
        value["agent_wait_time_in_minutes"] = waited(told.waits[1]);
        value["on_hold_time_in_minutes"] = minutes(Some(told.waits[2]));
        value
    }

    /// The ticket of a metric's id.
    pub fn ticket_of_metric(&self, id: i64) -> Option<&Ticket> {
        self.tickets.get(&(id - METRIC_ID))
    }

    /// How many incidents a problem has.
    pub fn incidents(&self, id: i64) -> usize {
        self.tickets.values().filter(|ticket| ticket.problem_id == Some(id)).count()
    }

    fn read_history(&self, ticket: &Ticket) -> Told {
        let mut told = Told::default();
        let (mut status, mut since) = ("new".to_owned(), ticket.created_at);
        for audit in &ticket.audits {
            let at = audit.created_at;
            for event in &audit.events {
                match &event.kind {
                    EventKind::Comment(comment) => {
                        told.commented = Some(at);
                        let staff = self.users.get(&comment.author_id).is_some_and(|user| user.role != Role::EndUser);
                        if comment.public && staff && comment.author_id != ticket.requester_id {
                            told.replies += 1;
                            told.first_reply.get_or_insert(at);
                        }
                    }
                    EventKind::Create(Field::Named(name), value) | EventKind::Change(Field::Named(name), value, _) => {
                        if *name == "status" {
                            told.wait(&status, at.0 - since.0);
                            let new = value.as_str().unwrap_or_default().to_owned();
                            told.status_changed(&status, &new, at);
                            (status, since) = (new, at);
                        } else {
                            told.changed(name, value, at);
                        }
                    }
                    _ => {}
                }
            }
            if Some(audit.author_id) == ticket.assignee_id {
                told.by_assignee = Some(at);
            }
            if audit.author_id == ticket.requester_id {
                told.by_requester = Some(at);
            }
        }
        told
    }
}

impl Told {
    fn wait(&mut self, status: &str, seconds: i64) {
        match status {
            "new" | "open" => self.waits[0] += seconds,
            "pending" => self.waits[1] += seconds,
            "hold" => {
                self.waits[0] += seconds;
                self.waits[2] += seconds;
            }
            _ => {}
        }
    }

    fn status_changed(&mut self, before: &str, now: &str, at: Stamp) {
        self.status_at = Some(at);
        if now == "solved" {
            self.solved = Some((self.solved.map_or(at, |(first, _)| first), at));
        } else if before == "solved" && now != "closed" {
            self.reopens += 1;
        }
    }

    fn changed(&mut self, name: &str, value: &Value, at: Stamp) {
        match name {
            "group_id" if !value.is_null() => self.groups += 1,
            "assignee_id" if !value.is_null() => {
                self.assignees += 1;
                self.assigned = Some((self.assigned.map_or(at, |(first, _)| first), at));
            }
            "custom_status_id" => self.custom_status_at = Some(at),
            _ => {}
        }
    }
}
