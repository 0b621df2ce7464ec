//! Where recordings and simulation differ, one by one, with the reason. A test holds the lists: an entry that is not
//! needed fails, and so does a reason that the years of the recordings belie.

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Only in recordings from before 2022: today's Zendesk does not write it.
    Old,
    /// Only in files that someone edited before publishing them.
    Edited,
    /// Of a part of Zendesk that the simulation does not have.
    Outside,
    /// A value that an account of the simulation's kind never has.
    Data,
}

/// One difference: record, path and type, where `*` stands for anything.
#[derive(Debug)]
pub struct Difference {
    pub why: Why,
    record: &'static str,
    path: &'static str,
    kind: &'static str,
    _words: &'static str,
}

const fn is(why: Why, record: &'static str, path: &'static str, kind: &'static str, words: &'static str) -> Difference {
    Difference { why, record, path, kind, _words: words }
}

/// Whether a text is as the pattern says.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|after| {
            // What the star stands for may be anything, also nothing.
            (0..=after.len()).filter(|at| after.is_char_boundary(*at)).any(|at| matches(rest, &after[at..]))
        }),
    }
}

impl Difference {
    /// Whether this entry speaks of that key and type.
    pub fn covers(&self, record: &str, path: &str, kind: &str) -> bool {
        matches(self.record, record) && matches(self.path, path) && matches(self.kind, kind)
    }
}

/// What recordings have and the simulation does not serve.
pub const RECORDED_ONLY: &[Difference] = &[
    is(Why::Outside, "*suspended_ticket*", "", "all", "suspended tickets: mail that never became a ticket"),
    is(Why::Outside, "GET /tickets/{}/macros/{}/apply", "", "all", "macros are agents' tools"),
    is(Why::Outside, "GET /users/me/settings", "", "all", "how the web pages look to an agent"),
    is(Why::Outside, "GET /users/{}/forum_subscriptions", "", "all", "forums of before Guide"),
    is(Why::Outside, "GET /users/{}/topics", "", "all", "forums of before Guide"),
    is(
        Why::Outside,
        "*request*",
        "",
        "all",
        "what customers see of their own tickets: no client of ours signs in as one",
    ),
    is(Why::Outside, "event AssociateAttValsEvent", "", "all", "skills of agents (omnichannel routing)"),
    is(Why::Outside, "event External", "", "all", "a trigger that calls a target of before webhooks"),
    is(Why::Outside, "event WebhookEvent", "", "all", "a trigger that calls a webhook, as an event of the ticket"),
    is(
        Why::Outside,
        "event Change",
        "via",
        "object",
        "a change by a trigger: the simulated account's only write mails",
    ),
    is(Why::Outside, "organization_field", "relationship_*", "*", "look-up fields"),
    is(Why::Old, "event Comment", "trusted", "bool", "only in 2012"),
    is(Why::Old, "event Create", "value", "number", "ids are texts since 2017"),
    is(Why::Old, "user", "chat_only", "bool", "gone between 2018 and 2023"),
    is(Why::Old, "user", "locale_id", "null", "only in 2012"),
    is(Why::Old, "ticket", "satisfaction_probability", "null", "the prediction of 2018"),
    is(Why::Old, "ticket", "ticket_form_id", "null", "every account has a form now"),
    is(Why::Old, "job_status", "total", "null", "only in 2017 and 2018; since then a queued job says how much it has"),
    is(
        Why::Old,
        "role",
        "*",
        "*",
        "the fixed roles of an account of 2017 without custom ones: no id, and what each may do",
    ),
    is(Why::Edited, "place in a list", "*", "*", "audits in one list with cursors of their own"),
    is(Why::Edited, "brand", "logo", "object", "a brand with a logo"),
    is(Why::Edited, "ticket_field", "agent_description", "string", "a field with a word for agents"),
    is(Why::Edited, "ticket_field", "sub_type_id", "number", "of the two system fields status and priority"),
    is(Why::Edited, "ticket_field", "system_field_options*", "*", "of the system fields"),
    is(Why::Data, "via", "source.from.service_info*", "*", "messages by a channel that somebody built"),
    is(Why::Data, "via", "source.*.profile_url", "string", "tickets made of tweets"),
    is(Why::Data, "via", "source.*.twitter_id", "string", "tickets made of tweets"),
    is(Why::Data, "via", "source.*.username", "string", "tickets made of tweets"),
    is(Why::Data, "via", "source.to.name", "null", "tickets made of tweets"),
];

/// What the simulation serves and neither recordings nor Zendesk's examples have. The document is Zendesk's OpenAPI.
pub const BEYOND: &[Difference] = &[
    is(Why::Data, "identity", "verified_at", "*", "in the document, with and without a time"),
    is(Why::Data, "job result", "account_id", "number", "rows of created tickets, in the document"),
    is(Why::Data, "job result", "details", "string", "rows that failed, in the document"),
    is(Why::Data, "job result", "error", "string", "rows that failed, in the document"),
    is(Why::Data, "job result", "index", "number", "rows of created tickets and rows that failed, in the document"),
    is(Why::Data, "organization", "result_type", "string", "organizations found by a search, as users and tickets"),
    is(Why::Data, "*_field", "custom_field_options*", "*", "drop-downs of users and organizations, in the document"),
    is(Why::Data, "*_field", "tag", "*", "check boxes of users and organizations, in the document"),
    is(Why::Data, "ticket_field", "key", "null", "in the document"),
    is(Why::Data, "role", "*", "*", "custom roles, in the document"),
    is(Why::Data, "satisfaction_rating", "reason_code", "*", "in the document"),
    is(Why::Data, "ticket", "email_cc_ids[]", "number", "somebody in copy; in the document"),
    is(Why::Data, "ticket", "incident_count", "number", "a side-load, in the document"),
    is(Why::Data, "ticket", "satisfaction_rating.reason", "string", "in the document"),
    is(Why::Data, "ticket_metric", "custom_status_updated_at", "string", "in the document"),
    is(Why::Data, "user", "user_fields.*[]", "string", "a field of several choices"),
    is(Why::Data, "POST /tickets with others", "ticket_forms", "list", "a side-load, in the document"),
    is(Why::Data, "GET /groups/assignable", "*", "*", "a list like others: its example leaves out the way on"),
    is(Why::Data, "GET /tickets/show_many", "*", "*", "recorded with side-loads only"),
];
