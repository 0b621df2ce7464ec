//! Tickets brought from elsewhere, with their own times.
use super::ticket_patch::{NewComment, TicketPatch};
use super::{By, Refusal};
use crate::time::Stamp;
use crate::world::World;
use crate::world::ticket::Status;
use serde::Deserialize;

/// A comment of a ticket that is brought in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OldComment {
    /// What it says.
    #[serde(flatten)]
    pub said: NewComment,
    /// When it was said.
    pub created_at: Option<String>,
}

/// A ticket's times and comments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct OldTimes {
    pub comments: Vec<OldComment>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub solved_at: Option<String>,
}

fn moment(text: Option<&String>) -> Option<Stamp> {
    text.and_then(|text| Stamp::parse(text))
}

impl World {
    /// Makes a ticket with all that was said on it, each at its time; it may be closed from the start.
    pub fn import_ticket(&mut self, by: By, now: Stamp, patch: TicketPatch, old: OldTimes) -> Result<i64, Refusal> {
        let mut comments = old.comments.into_iter();
        let first = comments.next();
        let status = patch.status;
        let mut opening = TicketPatch { status: None, ..patch };
        let made = moment(old.created_at.as_ref()).unwrap_or(now).min(now);
        let mut times = vec![first.as_ref().and_then(|c| moment(c.created_at.as_ref())).unwrap_or(made)];
        if let Some(first) = first {
            opening.comment = Some(first.said);
        }
        let id = self.create_ticket(by, now, opening)?;
        for comment in comments {
            times.push(moment(comment.created_at.as_ref()).unwrap_or(made));
            let patch = TicketPatch { comment: Some(comment.said), ..TicketPatch::default() };
            self.update_ticket(by, now, id, patch)?;
        }
        if let Some(status) = status.filter(|status| *status != Status::New) {
            let done = moment(old.solved_at.as_ref().filter(|_| status >= Status::Solved));
            times.push(done.or(moment(old.updated_at.as_ref())).unwrap_or(made));
            self.update_ticket(by, now, id, TicketPatch { status: Some(status), ..TicketPatch::default() })?;
        }
        if let Some(ticket) = self.tickets.get_mut(&id) {
            ticket.created_at = made;
            ticket.updated_at = moment(old.updated_at.as_ref()).unwrap_or(ticket.updated_at).min(now);
            for (audit, at) in ticket.audits.iter_mut().zip(times) {
                audit.created_at = at.min(now);
            }
        }
        Ok(id)
    }
}
