//! Deletion, spam, redaction, merging, rating and closing of tickets.
use super::{By, Refusal, ticket_patch::TicketPatch};
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::{EventKind, Field};
use crate::world::rating::{REASONS, Rating, Score};
use crate::world::ticket::{Gone, Status};
use crate::world::user::Role;
use serde_json::json;

/// The machine itself.
pub const SYSTEM: By = By { user_id: -1, channel: "rule" };

impl World {
    /// Deletes a ticket softly.
    pub fn delete_ticket(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        self.end_ticket(by, now, id, "ticket.soft_deleted")?;
        let text = format!("{} deleted ticket #{id}", self.name_of(by.user_id));
        self.note(now, "delete_ticket", text, None, Some(id));
        Ok(())
    }

    fn end_ticket(&mut self, by: By, now: Stamp, id: i64, kind: &'static str) -> Result<(), Refusal> {
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        let before = ticket.status.word();
        ticket.gone = Gone::Deleted;
        ticket.deleted = Some((now, by.user_id));
        let change = EventKind::Change(Field::Named("status"), "deleted".into(), before.into());
        self.push_audit(id, by, now, vec![change]);
        self.touch_ticket(id, now, true);
        self.announce_ticket(id, by.user_id, now, vec![(kind, json!({}))]);
        Ok(())
    }

    /// Brings a deleted ticket back.
    pub fn restore_ticket(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::Deleted).ok_or(Refusal::NotFound)?;
        let status = ticket.status.word();
        (ticket.gone, ticket.deleted) = (Gone::No, None);
        let change = EventKind::Change(Field::Named("status"), status.into(), "deleted".into());
        self.push_audit(id, by, now, vec![change]);
        self.touch_ticket(id, now, true);
        self.announce_ticket(id, by.user_id, now, vec![("ticket.undeleted", json!({}))]);
        self.note(now, "restore_ticket", format!("Ticket #{id} was brought back"), None, Some(id));
        Ok(())
    }

    /// Leaves nothing of a deleted ticket but its shell.
    pub fn permanently_delete_ticket(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::Deleted).ok_or(Refusal::NotFound)?;
        ticket.gone = Gone::Scrubbed;
        ticket.subject = "SCRUBBED".into();
        (ticket.external_id, ticket.priority, ticket.kind) = (None, None, None);
        ticket.fields.clear();
        ticket.tags.clear();
        for event in ticket.audits.iter_mut().flat_map(|audit| &mut audit.events) {
            match &mut event.kind {
                EventKind::Comment(comment) => {
                    comment.body = "X".into();
                    comment.attachments.clear();
                }
                EventKind::Create(Field::Named("subject"), value) => *value = "SCRUBBED".into(),
                EventKind::Change(Field::Named("subject"), value, before) => {
                    (*value, *before) = ("SCRUBBED".into(), "SCRUBBED".into());
                }
                EventKind::Create(Field::Custom(_), value) => *value = serde_json::Value::Null,
                EventKind::Change(Field::Custom(_), value, before) => {
                    (*value, *before) = (serde_json::Value::Null, serde_json::Value::Null);
                }
                EventKind::Create(..) | EventKind::Change(..) | EventKind::Mark(..) | EventKind::Notify(..) => {}
            }
        }
        self.touch_ticket(id, now, false);
        self.announce_ticket(id, by.user_id, now, vec![("ticket.permanently_deleted", json!({}))]);
        let text = format!("{} permanently deleted ticket #{id}", self.name_of(by.user_id));
        self.note(now, "permanently_delete_ticket", text, None, Some(id));
        Ok(())
    }

    /// Takes a ticket for spam: it is deleted and its requester suspended.
    pub fn mark_as_spam(&mut self, by: By, now: Stamp, id: i64) -> Result<(), Refusal> {
        let requester = self.tickets.get(&id).map(|t| t.requester_id).ok_or(Refusal::NotFound)?;
        self.end_ticket(by, now, id, "ticket.marked_as_spam")?;
        // A requester who is already gone needs no suspending, and colleagues are not suspended.
        if self.users.get(&requester).is_some_and(|user| user.active && user.role == Role::EndUser) {
            let patch = super::users::UserPatch { suspended: Some(true), ..Default::default() };
            self.update_user(by, now, requester, patch)?;
        }
        let text = format!("{} marked ticket #{id} as spam", self.name_of(by.user_id));
        self.note(now, "spam", text, Some(requester), Some(id));
        Ok(())
    }

    /// Takes words out of a comment (all of them, if `words` is empty).
    pub fn redact_comment(&mut self, by: By, now: Stamp, id: i64, comment_id: i64, words: &str) -> Result<(), Refusal> {
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        let mut events = ticket.audits.iter_mut().flat_map(|audit| &mut audit.events);
        let event = events.find(|event| event.id == comment_id).ok_or(Refusal::NotFound)?;
        let EventKind::Comment(comment) = &mut event.kind else { return Err(Refusal::NotFound) };
        let blocks = "▇".repeat(words.chars().count().clamp(4, 40));
        if words.is_empty() {
            comment.body = blocks;
        } else if comment.body.contains(words) {
            comment.body = comment.body.replace(words, &blocks);
        } else {
            return Err(Refusal::invalid("text", "Text: not found in comment", "InvalidValue"));
        }
        let comment = comment.as_ref().clone();
        let told = self.comment_json(comment_id, &comment);
        self.push_audit(id, by, now, vec![EventKind::Mark("CommentRedactionEvent", comment_id, None)]);
        self.touch_ticket(id, now, true);
        self.announce_ticket(id, by.user_id, now, vec![("ticket.comment_redacted", told)]);
        let text = format!("{} redacted a comment of ticket #{id}", self.name_of(by.user_id));
        self.note(now, "redact_comment", text, None, Some(id));
        Ok(())
    }

    /// Takes a file off a comment, leaving an empty one in its place.
    pub fn redact_attachment(&mut self, by: By, now: Stamp, id: i64, comment: i64, file: i64) -> Result<(), Refusal> {
        let host = self.host.clone();
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        let mut events = ticket.audits.iter_mut().flat_map(|audit| &mut audit.events);
        let event = events.find(|event| event.id == comment).ok_or(Refusal::NotFound)?;
        let EventKind::Comment(said) = &mut event.kind else { return Err(Refusal::NotFound) };
        let public = said.public;
        let found = said.attachments.iter_mut().find(|a| a.id == file).ok_or(Refusal::NotFound)?;
        found.file_name = "redacted.txt".into();
        (found.content_type, found.size) = ("text/plain", 1);
        let told = json!({"comment": {"id": comment.to_string(), "attachment": {"id": file.to_string(),
            "content_type": "text/plain", "content_url": found.content_url(&host), "filename": "redacted.txt",
            "is_public": public}}});
        self.push_audit(id, by, now, vec![EventKind::Mark("AttachmentRedactionEvent", comment, Some(file))]);
        self.touch_ticket(id, now, true);
        self.announce_ticket(id, by.user_id, now, vec![("ticket.attachment_redacted_from_comment", told)]);
        self.note(now, "redact_attachment", format!("A file of ticket #{id} was redacted"), None, Some(id));
        Ok(())
    }

    /// Hides a comment from the customer.
    pub fn make_private(&mut self, by: By, now: Stamp, id: i64, comment_id: i64) -> Result<(), Refusal> {
        let ticket = self.tickets.get_mut(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        let mut events = ticket.audits.iter_mut().flat_map(|audit| &mut audit.events);
        let event = events.find(|event| event.id == comment_id).ok_or(Refusal::NotFound)?;
        let EventKind::Comment(comment) = &mut event.kind else { return Err(Refusal::NotFound) };
        comment.public = false;
        let comment = comment.as_ref().clone();
        let told = self.comment_json(comment_id, &comment);
        self.push_audit(id, by, now, vec![EventKind::Mark("CommentPrivacyChange", comment_id, None)]);
        self.touch_ticket(id, now, true);
        self.announce_ticket(id, by.user_id, now, vec![("ticket.comment_made_private", told)]);
        Ok(())
    }

    /// Closes tickets into another one, with something said there and then on each: the words, and whether they are public.
    pub fn merge_tickets(
        &mut self,
        by: By,
        now: Stamp,
        target: i64,
        ids: &[i64],
        said: [(&str, bool); 2],
    ) -> Result<(), Refusal> {
        self.tickets.get(&target).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        for &id in ids {
            let open = self.tickets.get(&id).is_some_and(|t| t.gone == Gone::No && t.status != Status::Closed);
            if id == target || !open {
                return Err(Refusal::invalid("base", format!("Ticket {id} cannot be merged"), "InvalidValue"));
            }
        }
        let by = By { channel: "system", ..by };
        for &id in ids {
            let mut patch = TicketPatch::saying(by.user_id, said[1].0, said[1].1).and_status(Status::Closed);
            patch.additional_tags = Some(vec!["closed_by_merge".into()]);
            self.update_ticket(by, now, id, patch)?;
            if let Some(ticket) = self.tickets.get_mut(&id) {
                ticket.merged_into = Some(target);
            }
            let event = json!({"target_ticket_id": target.to_string()});
            self.announce_ticket(id, by.user_id, now, vec![("ticket.merged", event)]);
            self.note(now, "merge_tickets", format!("Ticket #{id} was merged into #{target}"), None, Some(id));
        }
        // A closed target keeps quiet.
        let _ = self.update_ticket(by, now, target, TicketPatch::saying(by.user_id, said[0].0, said[0].1));
        Ok(())
    }

    /// Asks for, or gives, a rating.
    pub fn rate(
        &mut self,
        now: Stamp,
        id: i64,
        score: Score,
        comment: Option<&str>,
        reason: usize,
    ) -> Result<i64, Refusal> {
        let ticket = self.tickets.get(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        let requester = ticket.requester_id;
        let found = ticket.rating_id;
        let rating_id = found.unwrap_or_else(|| self.new_id());
        let ticket = self.tickets.get_mut(&id).ok_or(Refusal::NotFound)?;
        ticket.rating_id = Some(rating_id);
        let rating = self.ratings.entry(rating_id).or_insert_with(|| Rating {
            id: rating_id,
            ticket_id: id,
            requester_id: requester,
            assignee_id: ticket.assignee_id,
            group_id: ticket.group_id,
            score: Score::Offered,
            comment: None,
            reason: None,
            created_at: now,
            updated_at: now,
        });
        let before = found.map_or("unoffered", |_| rating.score.word());
        (rating.score, rating.updated_at) = (score, now);
        rating.comment = comment.map(str::to_owned);
        rating.reason = (score == Score::Bad).then(|| REASONS[reason % REASONS.len()]);
        let (author, kind) = match score {
            Score::Offered => (-1, "ticket.csat_requested"),
            Score::Good | Score::Bad => (requester, "ticket.csat_received"),
        };
        let change = EventKind::Change(Field::Named("satisfaction_score"), score.word().into(), before.into());
        let mut history = vec![change];
        if let Some(words) = comment {
            let field = Field::Named("satisfaction_comment");
            history.push(EventKind::Change(field, words.into(), serde_json::Value::Null));
        }
        let by = By { user_id: author, channel: if author < 0 { "rule" } else { "web" } };
        self.push_audit(id, by, now, history);
        self.touch_ticket(id, now, true);
        let event = match score {
            Score::Offered => json!({}),
            _ => json!({"satisfaction_score": {"score": score.word().to_uppercase(), "comment": comment}}),
        };
        self.announce_ticket(id, author, now, vec![(kind, event)]);
        let text = match score {
            Score::Offered => format!("{} was asked to rate ticket #{id}", self.name_of(requester)),
            _ => format!("{} rated ticket #{id} {}", self.name_of(requester), score.word()),
        };
        self.note(now, "rate", text, Some(requester), Some(id));
        Ok(rating_id)
    }

    /// Closes a ticket that has long been solved, as the automation does.
    pub fn close_ticket(&mut self, now: Stamp, id: i64) -> Result<(), Refusal> {
        self.update_ticket(SYSTEM, now, id, TicketPatch { status: Some(Status::Closed), ..TicketPatch::default() })
    }
}
