//! Webhooks of triggers: a body that an admin wrote, with placeholders, sent when a ticket is made or changed.
use crate::time::Stamp;
use crate::world::World;
use std::sync::Arc;

impl World {
    /// Fires the triggers that a change of a ticket concerns.
    pub fn fire_triggers(&mut self, ticket_id: i64, is_new: bool, now: Stamp) {
        let wanted =
            |trigger: &&crate::world::hooks::Trigger| if is_new { trigger.on_create } else { trigger.on_update };
        let fired: Vec<_> = self.hooks.triggers.iter().filter(wanted).cloned().collect();
        for trigger in fired {
            let awake = |hook: &crate::world::hooks::Webhook| hook.active && hook.is_conditional();
            if self.hooks.all.get(&trigger.webhook_id).is_some_and(awake) {
                let body: Arc<str> = fill(&trigger.body, |name| self.placeholder(ticket_id, name)).into();
                self.enqueue(now, &trigger.webhook_id, "", &body);
            }
        }
    }

    fn placeholder(&self, ticket_id: i64, name: &str) -> String {
        let Some(ticket) = self.tickets.get(&ticket_id) else { return String::new() };
        let person = |id: Option<i64>, what: &str| {
            let user = id.and_then(|id| self.users.get(&id));
            let text = user.map(|user| match what {
                "id" => user.id.to_string(),
                "email" => user.email.clone().unwrap_or_default(),
                "external_id" => user.external_id.clone().unwrap_or_default(),
                _ => user.name.clone(),
            });
            text.unwrap_or_default()
        };
        match name {
            "ticket.id" => ticket_id.to_string(),
            "ticket.title" => ticket.subject.clone(),
            "ticket.description" => ticket.description().to_owned(),
            "ticket.external_id" => ticket.external_id.clone().unwrap_or_default(),
            "ticket.status" => capital(ticket.status.word()),
            "ticket.priority" => ticket.priority.map(|p| capital(p.word())).unwrap_or_default(),
            "ticket.ticket_type" => ticket.kind.map(|k| capital(k.word())).unwrap_or_default(),
            "ticket.tags" => ticket.tags.join(" "),
            "ticket.updated_at_with_timestamp" => ticket.updated_at.to_string(),
            "ticket.latest_comment" => {
                ticket.comments().next_back().map(|(_, _, comment)| comment.body.clone()).unwrap_or_default()
            }
            "account.subdomain" => self.subdomain.clone(),
            _ => match name.strip_prefix("ticket.").and_then(|rest| rest.split_once('.')) {
                Some(("requester", what)) => person(Some(ticket.requester_id), what),
                Some(("submitter", what)) => person(Some(ticket.submitter_id), what),
                Some(("assignee", what)) => person(ticket.assignee_id, what),
                _ => String::new(),
            },
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// Puts a value in the place of each `{{name}}`. Values in JSON bodies are escaped, so that a quote does not break them.
fn fill(body: &str, value: impl Fn(&str) -> String) -> String {
    let json = body.trim_start().starts_with(['{', '[']);
    let mut filled = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            break;
        };
        let text = value(name.trim());
        let quoted = serde_json::Value::from(text.as_str()).to_string();
        filled.push_str(if json { &quoted[1..quoted.len() - 1] } else { &text });
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let value = |name: &str| if name == "ticket.title" { "a \"b\"".to_owned() } else { String::new() };
        let table = [
            (r#"{"t": "{{ticket.title}}"}"#, r#"{"t": "a \"b\""}"#),
            ("t={{ ticket.title }}&x={{nothing}}", "t=a \"b\"&x="),
            ("open {{ for ever", "open {{ for ever"),
            ("", ""),
        ];
        for (body, expected) in table {
            assert_eq!(fill(body, value), expected, "{body}");
        }
    }
}
