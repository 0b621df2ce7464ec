//! What a ticket's updates do to its metrics: the rows of `ticket_metric_events`.
//!
//! Worked out from the history: clocks start when a ticket is made, stop while somebody else is waited for, and end when
//! it is solved. The account has no SLA policies, so nothing is applied and nothing breached.
use super::World;
use super::audit::{Audit, EventKind, Field};
use super::ticket::Ticket;
use super::user::Role;
use serde_json::{Value, json};

/// The metrics that run from the beginning to the end.
const WHOLE: [&str; 3] = ["agent_work_time", "requester_wait_time", "resolution_time"];

/// How far a ticket is.
#[derive(Clone, Debug, Default)]
struct Clocks {
    /// How often it was begun or begun anew.
    instance: u32,
    /// How often somebody waited for an answer.
    replies: u32,
    /// Whether somebody does.
    reply_due: bool,
    /// Whether it is solved or closed.
    over: bool,
    /// Its status.
    status: String,
}

/// A metric, what happened to it, and its instance.
type Told = Vec<(&'static str, &'static str, u32)>;

impl World {
    /// The events that one update of a ticket made.
    pub fn metric_events(&self, ticket: &Ticket, place: usize) -> Vec<Value> {
        let mut clocks = Clocks::default();
        let mut told = Told::new();
        for audit in ticket.audits.iter().take(place + 1) {
            told = self.pass(ticket, audit, &mut clocks);
        }
        let Some(audit) = ticket.audits.get(place) else { return Vec::new() };
        let minutes = (audit.created_at.0 - ticket.created_at.0) / 60;
        let write = |(nth, (metric, kind, instance)): (i64, &(&str, &str, u32))| {
            let mut row = json!({"id": audit.id + nth, "ticket_id": ticket.id, "metric": metric,
                "instance_id": instance, "type": kind, "time": audit.created_at});
            if *kind == "update_status" {
                row["status"] = json!({"calendar": minutes, "business": minutes});
            }
            row
        };
        (0..).zip(&told).map(write).collect()
    }

    fn pass(&self, ticket: &Ticket, audit: &Audit, clocks: &mut Clocks) -> Told {
        let mut told = Told::new();
        for event in &audit.events {
            match &event.kind {
                EventKind::Create(Field::Named("status"), value)
                | EventKind::Change(Field::Named("status"), value, _) => {
                    clocks.turn(value.as_str().unwrap_or_default(), &mut told);
                }
                EventKind::Comment(comment) if comment.public => {
                    let author = self.users.get(&comment.author_id);
                    let staff = author.is_some_and(|user| user.role != Role::EndUser);
                    clocks.said(staff && comment.author_id != ticket.requester_id, &mut told);
                }
                _ => {}
            }
        }
        told
    }
}

impl Clocks {
    /// A new status.
    fn turn(&mut self, status: &str, told: &mut Told) {
        let over = matches!(status, "solved" | "closed");
        if self.instance == 0 {
            // What is measured at all is said first, as instance 0.
            told.extend(WHOLE.iter().chain(&["reply_time", "pausable_update_time"]).map(|m| (*m, "measure", 0)));
            self.begin(told);
        } else if self.over && !over {
            self.begin(told);
        }
        let waits = |status: &str| matches!(status, "pending" | "hold");
        if over && !self.over {
            for metric in WHOLE {
                told.extend([(metric, "fulfill", self.instance), (metric, "update_status", self.instance)]);
            }
        } else if waits(status) && !waits(&self.status) {
            told.extend([("agent_work_time", "pause", self.instance), ("requester_wait_time", "pause", self.instance)]);
        } else if waits(&self.status) && !waits(status) && !over {
            let (work, wait) = ("agent_work_time", "requester_wait_time");
            told.extend([(work, "activate", self.instance), (wait, "activate", self.instance)]);
        }
        (self.over, self.status) = (over, status.to_owned());
    }

    fn begin(&mut self, told: &mut Told) {
        self.instance += 1;
        told.extend(WHOLE.map(|metric| (metric, "activate", self.instance)));
    }

    /// A public comment, by staff or by who waits for them.
    fn said(&mut self, staff: bool, told: &mut Told) {
        match (staff, self.reply_due) {
            (true, true) => told.push(("reply_time", "fulfill", self.replies)),
            (false, false) => {
                self.replies += 1;
                told.push(("reply_time", "activate", self.replies));
            }
            _ => return,
        }
        self.reply_due = !staff;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_start_stop_and_end() {
        let mut clocks = Clocks::default();
        let mut turn = |status: &str| {
            let mut told = Told::new();
            clocks.turn(status, &mut told);
            let words = told.iter().map(|(metric, kind, instance)| format!("{kind} {metric} {instance}"));
            words.filter(|text| !text.starts_with("measure")).collect::<Vec<_>>()
        };
        let all = |kind: &str, instance: u32| WHOLE.map(|metric| format!("{kind} {metric} {instance}"));
        let some = |kind: &str| ["agent_work_time", "requester_wait_time"].map(|metric| format!("{kind} {metric} 1"));
        assert_eq!(turn("new"), all("activate", 1));
        assert_eq!(turn("open"), [""; 0]);
        assert_eq!(turn("pending"), some("pause"));
        assert_eq!(turn("hold"), [""; 0]);
        assert_eq!(turn("open"), some("activate"));
        assert_eq!(turn("solved").len(), 6);
        assert_eq!(turn("closed"), [""; 0]);
        assert_eq!(turn("open"), all("activate", 2));
    }

    #[test]
    fn an_answer_ends_a_wait() {
        let mut clocks = Clocks::default();
        let mut said = |staff: bool| {
            let mut told = Told::new();
            clocks.said(staff, &mut told);
            told
        };
        assert_eq!(said(false), [("reply_time", "activate", 1)]);
        assert_eq!(said(false), []);
        assert_eq!(said(true), [("reply_time", "fulfill", 1)]);
        assert_eq!(said(true), []);
        assert_eq!(said(false), [("reply_time", "activate", 2)]);
    }
}
