//! What a request says of a ticket, brought into the shape acts read.
use crate::acts::ticket_patch::TicketPatch;
use crate::acts::{self, Refusal};
use crate::http::Caller;
use crate::world::World;
use serde_json::{Value, json};

/// What a request may say of a ticket.
pub const PERMITTED: &[&str] = &[
    "subject",
    "raw_subject",
    "description",
    "comment",
    "status",
    "priority",
    "type",
    "requester",
    "requester_id",
    "submitter_id",
    "assignee_id",
    "assignee_email",
    "group_id",
    "organization_id",
    "external_id",
    "tags",
    "additional_tags",
    "remove_tags",
    "custom_fields",
    "fields",
    "custom_status_id",
    "email_ccs",
    "email_cc_ids",
    "followers",
    "follower_ids",
    "collaborators",
    "collaborator_ids",
    "additional_collaborators",
    "problem_id",
    "due_at",
    "safe_update",
    "updated_stamp",
    "via_followup_source_id",
    "via",
    "via_id",
    "metadata",
    "macro_ids",
    "macro_id",
    "ticket_form_id",
    "brand_id",
    "recipient",
    "sharing_agreement_ids",
    "attribute_value_ids",
    "created_at",
    "comments",
    "solved_at",
    "updated_at",
];

/// Words a ticket's enumerations hold.
const WORDS: [(&str, &str, &[&str]); 3] = [
    ("status", "Status", &["new", "open", "pending", "hold", "solved", "closed"]),
    ("priority", "Priority", &["urgent", "high", "normal", "low"]),
    ("type", "Type", &["problem", "incident", "question", "task"]),
];

impl World {
    /// Makes a ticket as a request asks.
    pub fn make_ticket(&mut self, caller: &Caller, given: &Value) -> Result<i64, Refusal> {
        let patch = self.ticket_patch(caller, None, given)?;
        let id = self.create_ticket(caller.by(), caller.now, patch)?;
        self.keep_metadata(id, 0, given);
        Ok(id)
    }

    /// Changes a ticket as a request asks.
    pub fn change_ticket(&mut self, caller: &Caller, id: i64, given: &Value) -> Result<(), Refusal> {
        let patch = self.ticket_patch(caller, Some(id), given)?;
        let before = self.tickets.get(&id).map_or(0, |ticket| ticket.audits.len());
        self.update_ticket(caller.by(), caller.now, id, patch)?;
        self.keep_metadata(id, before, given);
        Ok(())
    }

    /// Keeps what a write says beside the ticket with the audit it made, if it made one.
    fn keep_metadata(&mut self, id: i64, place: usize, given: &Value) {
        let audit = self.tickets.get_mut(&id).and_then(|ticket| ticket.audits.get_mut(place));
        if let (Some(audit), true) = (audit, given["metadata"].is_object()) {
            audit.custom = given["metadata"].clone();
        }
    }

    /// What a request asks of a ticket: words checked, people found, files taken.
    pub fn ticket_patch(&mut self, caller: &Caller, id: Option<i64>, given: &Value) -> Result<TicketPatch, Refusal> {
        let mut given = if given.is_null() { json!({}) } else { given.clone() };
        super::user_ask::tidy(&mut given, &["external_id", "subject"]);
        for (key, title, words) in WORDS {
            let Some(text) = given[key].as_str() else { continue };
            if text.is_empty() {
                given[key] = Value::Null;
            } else if !words.contains(&text) {
                return Err(Refusal::invalid(key, format!("{title}: {text} is not valid"), "InvalidValue"));
            }
        }
        if given["custom_fields"].is_null() && given["fields"].is_array() {
            given["custom_fields"] = given["fields"].take();
        }
        if let Some(by_id) = given["custom_fields"].as_object() {
            let pairs =
                by_id.iter().filter_map(|(id, value)| Some(json!({"id": id.parse::<i64>().ok()?, "value": value})));
            given["custom_fields"] = pairs.collect();
        }
        if let Some(email) = given["assignee_email"].as_str() {
            let id = self.index.emails.get(&email.to_lowercase()).copied();
            given["assignee_id"] = id.unwrap_or(-1).into();
        }
        self.find_people(id, &mut given, ["email_ccs", "email_cc_ids", "collaborator_ids", "collaborators"]);
        self.find_people(id, &mut given, ["followers", "follower_ids", "", ""]);
        if given["comment"].is_string() {
            given["comment"] = json!({"body": given["comment"]});
        }
        // Looking with an index would make a comment where there is none.
        let tokens = given.pointer_mut("/comment/uploads").map(Value::take).unwrap_or_default();
        if let Some(comment) = given["comment"].as_object_mut() {
            comment.remove("files");
        }
        let mut patch: TicketPatch = acts::read(&given)?;
        if let Some(comment) = &mut patch.comment {
            let tokens = tokens.as_array().into_iter().flatten().filter_map(Value::as_str).chain(tokens.as_str());
            for token in tokens {
                let found = self.take_upload(caller.now, token);
                let words = "Uploads: token is invalid or has expired";
                comment.uploads.extend(found.ok_or_else(|| Refusal::invalid("base", words, "InvalidValue"))?);
            }
        }
        Ok(patch)
    }

    /// Makes a list of people, given in one of the ways Zendesk takes, a list of ids under the first of these keys.
    fn find_people(&self, id: Option<i64>, given: &mut Value, keys: [&str; 4]) {
        let Some(key) = keys.iter().find(|key| given[**key].is_array()) else { return };
        let before = id.and_then(|id| self.tickets.get(&id)).map(|ticket| match keys[0] {
            "followers" => ticket.follower_ids.clone(),
            _ => ticket.email_cc_ids.clone(),
        });
        let asked = given[*key].take();
        let asked = asked.as_array().map(Vec::as_slice).unwrap_or_default();
        // Entries with an action add to who is there; plain ids say who is there.
        let steps = asked.iter().any(Value::is_object);
        let mut people = if steps { before.unwrap_or_default() } else { Vec::new() };
        for one in asked {
            let email = one["user_email"].as_str().or(one["email"].as_str()).or(one.as_str());
            let by_email = email.and_then(|email| self.index.emails.get(&email.to_lowercase()).copied());
            let text = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
            let by_id =
                one.as_i64().or(one["user_id"].as_i64()).or_else(|| text(&one["user_id"])).or_else(|| text(one));
            let Some(person) = by_id.or(by_email).filter(|id| self.users.get(id).is_some_and(|user| user.active))
            else {
                continue;
            };
            people.retain(|other| *other != person);
            if one["action"] != "delete" {
                people.push(person);
            }
        }
        given[keys[0]] = json!(people);
    }
}
