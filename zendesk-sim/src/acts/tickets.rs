//! Making and changing tickets, with their history and what webhooks tell of it.
use super::ticket_patch::{NewComment, TicketPatch};
use super::users::UserPatch;
use super::{By, Refusal, fits};
use crate::deliver::announce::Events;
use crate::time::Stamp;
use crate::world::World;
use crate::world::audit::{Attachment, Comment, EventKind, Field, RECEIVED};
use crate::world::ticket::{Gone, Priority, Status, Ticket, TicketType};
use crate::world::user::Role;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many comments a ticket takes (Z§4).
const MOST_COMMENTS: usize = 5_000;

/// Changes collected while a patch is applied.
#[derive(Default)]
struct Changes {
    history: Vec<EventKind>,
    told: Events,
}

impl Changes {
    fn add(&mut self, field: Field, kind: &'static str, now: Value, before: Value, words: bool) {
        let shown = |value: &Value| match value {
            Value::String(text) if words => text.to_uppercase().into(),
            Value::Number(number) => number.to_string().into(),
            other => other.clone(),
        };
        self.told.push((kind, json!({"current": shown(&now), "previous": shown(&before)})));
        self.history.push(EventKind::Change(field, now, before));
    }
}

impl World {
    /// Makes a ticket.
    pub fn create_ticket(&mut self, by: By, now: Stamp, patch: TicketPatch) -> Result<i64, Refusal> {
        let mut said = patch.comment.clone().unwrap_or_default();
        if words(&said).is_empty() {
            said.body = patch.description.clone();
        }
        let body = words(&said);
        if body.is_empty() {
            return Err(Refusal::invalid("base", "Description: cannot be blank", "BlankValue"));
        }
        let requester_id = self.requester(by, now, &patch)?;
        self.check_ticket(&patch)?;
        let source = self.check_followup(&patch)?;
        let id = self.new_ticket_id();
        let seq = self.new_seq();
        let mut ticket = self.blank_ticket(id, seq, by, now, requester_id);
        ticket.subject = patch.subject.clone().unwrap_or_else(|| body.chars().take(60).collect());
        ticket.external_id = patch.external_id.clone().flatten();
        ticket.submitter_id = patch.submitter_id.unwrap_or(by.user_id);
        ticket.email_cc_ids = patch.email_ccs.clone().unwrap_or_default();
        ticket.followup_of = source;
        if let Some(source) = source.and_then(|source| self.tickets.get_mut(&source)) {
            source.followups.push(id);
        }
        self.tickets.insert(id, ticket);
        let mut changes = Changes::default();
        let patch_submitter = patch.submitter_id;
        let rest = TicketPatch {
            subject: None,
            external_id: None,
            requester_id: None,
            comment: None,
            email_ccs: None,
            ..patch
        };
        self.apply_ticket(id, rest, &mut changes);
        let mut history = self.creation(id);
        let author = patch_submitter.unwrap_or(by.user_id);
        history.insert(0, self.comment_event(&said, author));
        if self.users.get(&requester_id).is_some_and(|user| user.email.is_some()) {
            history.push(EventKind::Notify(&RECEIVED, vec![requester_id]));
        }
        let ids = self.push_audit(id, By { user_id: said.author_id.unwrap_or(by.user_id), ..by }, now, history);
        if !self.quiet {
            self.index.tickets.insert((now, seq), id);
        }
        let mut told = vec![("ticket.created", json!({}))];
        told.extend(self.comment_told(id, ids[0]));
        self.announce_ticket(id, by.user_id, now, told);
        let text = format!("{} opened ticket #{id} \"{}\"", self.name_of(requester_id), self.tickets[&id].subject);
        self.note(now, "create_ticket", text, Some(requester_id), Some(id));
        Ok(id)
    }

    fn blank_ticket(&self, id: i64, seq: u64, by: By, now: Stamp, requester_id: i64) -> Ticket {
        Ticket {
            id,
            seq,
            external_id: None,
            channel: by.channel,
            created_at: now,
            updated_at: now,
            generated: now,
            kind: None,
            subject: String::new(),
            priority: None,
            status: Status::New,
            requester_id,
            submitter_id: by.user_id,
            assignee_id: None,
            organization_id: self.users.get(&requester_id).and_then(|user| user.organization_id),
            group_id: None,
            tags: Vec::new(),
            fields: BTreeMap::new(),
            custom_status_id: self.catalog.default_status("new"),
            email_cc_ids: Vec::new(),
            follower_ids: Vec::new(),
            problem_id: None,
            due_at: None,
            rating_id: None,
            followup_of: None,
            followups: Vec::new(),
            merged_into: None,
            gone: Gone::No,
            deleted: None,
            audits: Vec::new(),
        }
    }

    /// The `Create` events of a ticket as it stands.
    fn creation(&self, id: i64) -> Vec<EventKind> {
        let ticket = &self.tickets[&id];
        let named = [
            ("subject", Some(Value::from(ticket.subject.clone()))),
            ("requester_id", Some(ticket.requester_id.into())),
            ("status", Some(ticket.status.word().into())),
            ("priority", Some(ticket.priority.map(Priority::word).into())),
            ("type", Some(ticket.kind.map(TicketType::word).into())),
            ("assignee_id", ticket.assignee_id.map(Value::from)),
            ("group_id", ticket.group_id.map(Value::from)),
            ("organization_id", ticket.organization_id.map(Value::from)),
            ("tags", (!ticket.tags.is_empty()).then(|| json!(ticket.tags))),
            ("brand_id", Some(self.catalog.brand_id.into())),
            ("ticket_form_id", Some(self.catalog.form_id.into())),
            ("custom_status_id", Some(ticket.custom_status_id.into())),
        ];
        let mut events: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| EventKind::Create(Field::Named(name), value)))
            .collect();
        events.extend(ticket.fields.iter().map(|(id, v)| EventKind::Create(Field::Custom(*id), v.clone())));
        events
    }

    /// Changes a ticket. A customer's reply reopens what waits or is solved, as Zendesk's own rules do.
    pub fn update_ticket(&mut self, by: By, now: Stamp, id: i64, patch: TicketPatch) -> Result<(), Refusal> {
        let ticket = self.tickets.get(&id).filter(|t| t.gone == Gone::No).ok_or(Refusal::NotFound)?;
        if ticket.status == Status::Closed {
            return Err(Refusal::invalid("status", "Status: closed prevents ticket update", ""));
        }
        if patch.seen_at().is_some_and(|seen| seen < ticket.updated_at) {
            return Err(Refusal::Conflict);
        }
        if patch.comment.is_some() && ticket.comments().count() >= MOST_COMMENTS {
            let words = format!("Comment: the ticket has reached the limit of {MOST_COMMENTS} comments");
            return Err(Refusal::invalid("comment", words, "LimitExceeded"));
        }
        self.check_ticket(&patch)?;
        let mut said = patch.comment.clone().filter(|comment| !words(comment).is_empty());
        if let Some(said) = &mut said {
            // What is not said to be public or private is as the ticket began.
            said.public.get_or_insert(ticket.is_public());
        }
        let author = said.as_ref().and_then(|s| s.author_id).unwrap_or(by.user_id);
        let mut patch = TicketPatch { comment: None, ..patch };
        if patch.requester.is_some() {
            patch.requester_id = Some(self.requester(by, now, &patch)?);
        }
        self.follow_rules(id, author, said.as_ref(), &mut patch);
        let mut changes = Changes::default();
        self.apply_ticket(id, patch, &mut changes);
        let mut history = Vec::new();
        if let Some(said) = &said {
            history.push(self.comment_event(said, author));
        }
        history.append(&mut changes.history);
        if history.is_empty() {
            return Ok(());
        }
        let ids = self.push_audit(id, By { user_id: author, ..by }, now, history);
        self.touch_ticket(id, now, true);
        let mut told = if said.is_some() { self.comment_told(id, ids[0]) } else { Events::new() };
        told.append(&mut changes.told);
        let text = self.update_words(id, author, said.as_ref(), &told);
        self.announce_ticket(id, author, now, told);
        let kind = if said.is_some() { "comment" } else { "update_ticket" };
        self.note(now, kind, text, Some(author), Some(id));
        Ok(())
    }

    fn update_words(&self, id: i64, author: i64, said: Option<&NewComment>, told: &Events) -> String {
        let who = self.name_of(author);
        let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.trim_start_matches("ticket.")).collect();
        match said {
            Some(said) if said.public == Some(false) => format!("{who} left a private note on ticket #{id}"),
            Some(said) => {
                let start: String = words(said).chars().take(60).collect();
                format!("{who} wrote on ticket #{id}: \"{start}\"")
            }
            None => format!("{who} changed ticket #{id}: {}", kinds.join(", ")),
        }
    }

    fn follow_rules(&self, id: i64, author: i64, said: Option<&NewComment>, patch: &mut TicketPatch) {
        let ticket = &self.tickets[&id];
        let public = said.is_some_and(|said| said.public != Some(false));
        let customer = self.users.get(&author).is_some_and(|user| user.role == Role::EndUser);
        let waits = matches!(ticket.status, Status::Pending | Status::Hold | Status::Solved);
        if customer && public && waits && patch.status.is_none() {
            patch.status = Some(Status::Open);
        }
        if patch.assignee_id.is_some_and(|a| a.is_some()) && patch.status.is_none() && ticket.status == Status::New {
            patch.status = Some(Status::Open);
        }
        // Who solves what nobody has, has it.
        let agent = self.users.get(&author).filter(|user| user.role != Role::EndUser);
        if let Some(agent) = agent
            && patch.status == Some(Status::Solved)
            && patch.assignee_id.unwrap_or(ticket.assignee_id).is_none()
        {
            patch.assignee_id = Some(Some(author));
            patch.group_id = patch.group_id.or(Some(ticket.group_id.or(agent.default_group_id)));
        }
    }

    /// The closed ticket that a new one follows.
    fn check_followup(&self, patch: &TicketPatch) -> Result<Option<i64>, Refusal> {
        let Some(id) = patch.via_followup_source_id else { return Ok(None) };
        let closed = self.tickets.get(&id).is_some_and(|t| t.gone == Gone::No && t.status == Status::Closed);
        let words = "Via followup source: must be a closed ticket";
        closed.then_some(Some(id)).ok_or_else(|| Refusal::invalid("via_followup_source_id", words, "InvalidValue"))
    }

    fn requester(&mut self, by: By, now: Stamp, patch: &TicketPatch) -> Result<i64, Refusal> {
        if let Some(email) = patch.requester.as_ref().and_then(|r| r.email.clone()) {
            if let Some(id) = self.index.emails.get(&email.to_lowercase()) {
                return Ok(*id);
            }
            let name = patch.requester.as_ref().and_then(|r| r.name.clone()).unwrap_or_default();
            if name.trim().is_empty() {
                let words = "Requester: Name: is too short (minimum is 1 characters)";
                return Err(Refusal::invalid("requester", words, ""));
            }
            let user = UserPatch { name: Some(name), email: Some(Some(email)), ..UserPatch::default() };
            return self.create_user(by, now, user);
        }
        let id = patch.requester_id.unwrap_or(by.user_id);
        let found = self.users.get(&id).filter(|user| user.active);
        found.map(|user| user.id).ok_or_else(|| Refusal::invalid("requester", "Requester: is invalid", "InvalidValue"))
    }

    fn check_ticket(&self, patch: &TicketPatch) -> Result<(), Refusal> {
        if let Some(id) = patch.requester_id {
            let found = self.users.get(&id).filter(|user| user.active);
            found.ok_or_else(|| Refusal::invalid("requester", "Requester: is invalid", "InvalidValue"))?;
        }
        if let Some(Some(id)) = patch.organization_id {
            let live = self.organizations.get(&id).filter(|o| o.deleted_at.is_none());
            live.ok_or_else(|| Refusal::invalid("organization", "Organization: is invalid", "InvalidValue"))?;
        }
        if let Some(Some(id)) = patch.group_id {
            self.catalog.group(id).ok_or_else(|| Refusal::invalid("group", "Group: is invalid", "InvalidValue"))?;
        }
        if let Some(Some(id)) = patch.assignee_id {
            let found = self.users.get(&id).filter(|user| user.active && user.role != Role::EndUser);
            found.ok_or_else(|| Refusal::invalid("assignee", "Assignee: is invalid", "InvalidValue"))?;
        }
        for field in &patch.custom_fields {
            let def = self.catalog.ticket_field(field.id);
            if let Some(def) = def.filter(|def| !fits(def, &field.value)) {
                let words = format!("{}: is invalid", def.title);
                return Err(Refusal::invalid("base", words, "InvalidValue"));
            }
        }
        Ok(())
    }

    fn comment_event(&mut self, said: &NewComment, author: i64) -> EventKind {
        let made_up = said.files.iter().map(|name| Attachment {
            id: self.new_id(),
            file_name: name.clone(),
            content_type: if name.ends_with(".png") { "image/png" } else { "application/pdf" },
            size: 1_024 + 37 * name.len() as u32,
        });
        let attachments = made_up.chain(said.uploads.iter().cloned()).collect();
        EventKind::Comment(Box::new(Comment {
            author_id: said.author_id.unwrap_or(author),
            body: words(said),
            public: said.public.unwrap_or(true),
            attachments,
        }))
    }

    /// What webhooks tell of a comment just made.
    fn comment_told(&self, ticket_id: i64, comment_id: i64) -> Events {
        let ticket = &self.tickets[&ticket_id];
        let found = ticket.comments().rev().find(|(_, id, _)| *id == comment_id);
        let Some((_, _, comment)) = found else { return Events::new() };
        let mut told = vec![("ticket.comment_added", self.comment_json(comment_id, comment))];
        for file in &comment.attachments {
            told.push((
                "ticket.attachment_linked_to_comment",
                json!({"comment": {"id": comment_id.to_string(),
                "attachment": {"id": file.id.to_string(), "content_type": file.content_type,
                    "content_url": file.content_url(&self.host), "filename": file.file_name,
                    "is_public": comment.public}}}),
            ));
        }
        told
    }

    /// A comment as webhook events write it.
    pub fn comment_json(&self, comment_id: i64, comment: &Comment) -> Value {
        let author = self.users.get(&comment.author_id);
        json!({"comment": {"id": comment_id.to_string(), "body": comment.body, "is_public": comment.public,
            "author": {"id": comment.author_id.to_string(),
                "is_staff": author.is_some_and(|user| user.role != Role::EndUser),
                "name": author.map_or("", |user| user.name.as_str())}}})
    }

    fn apply_ticket(&mut self, id: i64, patch: TicketPatch, changes: &mut Changes) {
        let organization = patch.requester_id.and_then(|id| self.users.get(&id)).and_then(|u| u.organization_id);
        let status_ids = self.status_change(id, &patch);
        let Some(ticket) = self.tickets.get_mut(&id) else { return };
        if let Some((status, custom)) = status_ids {
            if status != ticket.status {
                let (new, old) = (status.word().into(), ticket.status.word().into());
                changes.add(Field::Named("status"), "ticket.status_changed", new, old, true);
                ticket.status = status;
            }
            let (new, old) = (custom.into(), ticket.custom_status_id.into());
            if custom != ticket.custom_status_id {
                changes.add(Field::Named("custom_status_id"), "ticket.custom_status_changed", new, old, false);
                ticket.custom_status_id = custom;
            }
        }
        for problem in [patch.problem_id.flatten(), ticket.problem_id].into_iter().flatten() {
            self.index.problems.insert(problem);
        }
        if let Some(requester) = patch.requester_id.filter(|new| *new != ticket.requester_id) {
            let old = std::mem::replace(&mut ticket.requester_id, requester);
            let field = Field::Named("requester_id");
            changes.add(field, "ticket.requester_changed", requester.into(), old.into(), false);
            if ticket.organization_id != organization {
                let old = std::mem::replace(&mut ticket.organization_id, organization);
                let field = Field::Named("organization_id");
                changes.add(field, "ticket.organization_changed", organization.into(), old.into(), false);
            }
        }
        if let Some(new) = patch.organization_id.filter(|new| *new != ticket.organization_id) {
            let old = std::mem::replace(&mut ticket.organization_id, new);
            let field = Field::Named("organization_id");
            changes.add(field, "ticket.organization_changed", new.into(), old.into(), false);
        }
        set_simple(ticket, &patch, changes);
        set_tags(ticket, &patch, changes);
        for new in patch.custom_fields {
            let Some(def) = self.catalog.ticket_field(new.id) else { continue };
            let before = ticket.fields.get(&new.id).cloned().unwrap_or_default();
            if before == new.value {
                continue;
            }
            changes.told.push((
                "ticket.custom_field_changed",
                json!({"current": new.value, "previous": before,
                "custom_field": {"id": def.id.to_string(), "title": def.title, "type": def.kind}}),
            ));
            changes.history.push(EventKind::Change(Field::Custom(new.id), new.value.clone(), before));
            match new.value {
                Value::Null => ticket.fields.remove(&new.id),
                value => ticket.fields.insert(new.id, value),
            };
        }
    }

    /// The status and custom status after a patch, if it says anything of either.
    fn status_change(&self, id: i64, patch: &TicketPatch) -> Option<(Status, i64)> {
        if let Some(custom) = patch.custom_status_id
            && let Some(category) = self.catalog.category(custom)
        {
            let status = serde_json::from_value(category.into()).ok()?;
            return Some((status, custom));
        }
        let status = patch.status?;
        let same = status == self.tickets.get(&id)?.status;
        (!same).then(|| (status, self.catalog.default_status(status.word())))
    }
}

fn set_simple(ticket: &mut Ticket, patch: &TicketPatch, changes: &mut Changes) {
    if let Some(new) = patch.subject.as_ref().filter(|new| **new != ticket.subject) {
        let old = std::mem::replace(&mut ticket.subject, new.clone());
        changes.add(Field::Named("subject"), "ticket.subject_changed", new.as_str().into(), old.into(), false);
    }
    if let Some(new) = patch.priority.filter(|new| *new != ticket.priority) {
        let old = std::mem::replace(&mut ticket.priority, new);
        let (new, old) = (new.map(|p| p.word()).into(), old.map(|p| p.word()).into());
        changes.add(Field::Named("priority"), "ticket.priority_changed", new, old, true);
    }
    if let Some(new) = patch.kind.filter(|new| *new != ticket.kind) {
        let old = std::mem::replace(&mut ticket.kind, new);
        let (new, old) = (new.map(|k| k.word()).into(), old.map(|k| k.word()).into());
        changes.add(Field::Named("type"), "ticket.type_changed", new, old, true);
    }
    if let Some(new) = patch.external_id.as_ref().filter(|new| **new != ticket.external_id) {
        let old = std::mem::replace(&mut ticket.external_id, new.clone());
        let (new, old) = (new.clone().into(), old.into());
        changes.add(Field::Named("external_id"), "ticket.external_id_changed", new, old, false);
    }
    let ids = [
        ("assignee_id", "ticket.agent_assignment_changed", patch.assignee_id, &mut ticket.assignee_id),
        ("group_id", "ticket.group_assignment_changed", patch.group_id, &mut ticket.group_id),
        ("problem_id", "ticket.problem_link_changed", patch.problem_id, &mut ticket.problem_id),
    ];
    for (name, kind, new, place) in ids {
        if let Some(new) = new.filter(|new| new != place) {
            let old = std::mem::replace(place, new);
            changes.add(Field::Named(name), kind, new.into(), old.into(), false);
        }
    }
    let people = [
        ("email_ccs", "ticket.email_ccs_changed", &patch.email_ccs, &mut ticket.email_cc_ids),
        ("followers", "ticket.followers_changed", &patch.followers, &mut ticket.follower_ids),
    ];
    for (name, kind, new, place) in people {
        if let Some(new) = new.as_ref().filter(|new| **new != *place) {
            let old = std::mem::replace(place, new.clone());
            changes.told.push((kind, json!({"users_added": less(new, &old), "users_removed": less(&old, new)})));
            changes.history.push(EventKind::Change(Field::Named(name), json!(new), json!(old)));
        }
    }
    let due = patch.due_at.as_ref().map(|due| due.as_deref().and_then(Stamp::parse));
    if let Some(new) = due.filter(|new| *new != ticket.due_at) {
        let old = std::mem::replace(&mut ticket.due_at, new);
        changes.add(Field::Named("due_at"), "ticket.task_due_at_changed", json!(new), json!(old), false);
    }
}

/// Ids of the first that are not in the second, as texts.
fn less(of: &[i64], without: &[i64]) -> Vec<String> {
    of.iter().filter(|id| !without.contains(id)).map(i64::to_string).collect()
}

fn set_tags(ticket: &mut Ticket, patch: &TicketPatch, changes: &mut Changes) {
    let mut tags = patch.tags.clone().unwrap_or_else(|| ticket.tags.clone());
    for tag in patch.additional_tags.iter().flatten() {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags.retain(|tag| !patch.remove_tags.iter().flatten().any(|gone| gone == tag));
    if tags == ticket.tags {
        return;
    }
    let added: Vec<_> = tags.iter().filter(|tag| !ticket.tags.contains(tag)).collect();
    let removed: Vec<_> = ticket.tags.iter().filter(|tag| !tags.contains(tag)).collect();
    changes.told.push(("ticket.tags_changed", json!({"tags_added": added, "tags_removed": removed})));
    changes.history.push(EventKind::Change(Field::Named("tags"), json!(tags), json!(ticket.tags)));
    ticket.tags = tags;
}

/// What a comment says, whichever way it was given.
fn words(said: &NewComment) -> String {
    said.body.clone().or_else(|| said.html_body.clone()).unwrap_or_default()
}
