//! Recorded traffic through the real decoders. The recordings are no part of the project: without them this passes and
//! says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deskbridge::model::batch::Refused;
use deskbridge::model::field::{Given, SystemField};
use deskbridge::model::person::{PersonRecord, RecordStatus};
use deskbridge::model::record::Problem;
use deskbridge::model::source::SourceSettings;
use deskbridge::zendesk::decode::{self, DecodeContext};
use serde_json::value::RawValue;

/// What was seen in the recordings.
#[derive(Debug, Default)]
pub struct Seen {
    /// Records decoded, by kind.
    pub decoded: BTreeMap<&'static str, usize>,
    /// Customers without address, with an unusable one; users who are deleted; agents; scrubbed tickets; activities.
    pub oddities: BTreeMap<&'static str, usize>,
    /// What must not be: refused records and unknown keys, with their file.
    pub faults: Vec<String>,
    /// Keys that no decoder knows.
    pub unknown: BTreeMap<String, usize>,
}

impl Seen {
    fn odd(&mut self, name: &'static str, is: bool) {
        *self.oddities.entry(name).or_default() += usize::from(is);
    }

    fn take<T>(&mut self, kind: &'static str, file: &str, result: Result<T, Refused>) -> Option<T> {
        *self.decoded.entry(kind).or_default() += 1;
        result.map_err(|refused| self.faults.push(format!("{file}: {kind}: {}", refused.reason))).ok()
    }

    fn noted(&mut self, kind: &str, file: &str, problems: &[Problem], unknown: Option<&serde_json::Value>) {
        for problem in problems.iter().filter(|problem| problem.part != "email" && problem.part != "updated_at") {
            self.faults.push(format!("{file}: {kind}: {}: {}", problem.part, problem.reason));
        }
        for key in unknown.and_then(serde_json::Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
            *self.unknown.entry(format!("{kind}.{key}")).or_default() += 1;
        }
    }
}

/// Where the recordings are, if they are there.
pub fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    folder.join("MANIFEST.csv").is_file().then_some(folder)
}

/// Kind, resource and file of each body in the manifest. Its first fields have no commas in quotes.
pub fn manifest(folder: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(folder.join("MANIFEST.csv")).expect("the manifest can be read");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).expect("the manifest has the column");
    let (file, kind, resource) = (at("file"), at("kind"), at("resource"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Some((cells.get(kind)?.to_string(), cells.get(resource)?.to_string(), cells.get(file)?.to_string()))
    };
    lines.filter_map(row).collect()
}

/// The members of a JSON object, each its own JSON.
fn members(body: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The records under a plural name, which go through `page`, and the one under the singular.
pub fn records(body: &[u8], many: &str, one: &str) -> Vec<Box<RawValue>> {
    let members = members(body);
    let mut found = Vec::new();
    for name in [many, one] {
        if members.get(name).is_some_and(|value| value.get().starts_with('[')) {
            found.extend(decode::page(body, name).expect("a list is a page").records);
        }
    }
    found.extend(members.get(one).filter(|value| value.get().starts_with('{')).cloned());
    found
}

fn person(seen: &mut Seen, file: &str, person: &PersonRecord) {
    let email = &person.system[SystemField::Email];
    seen.odd("customers without address", person.status.is_customer() && *email == Given::Empty);
    seen.odd("addresses", matches!(email, Given::Value(_)));
    seen.odd("addresses that are none", person.problems.iter().any(|problem| problem.part == "email"));
    seen.odd("deleted users", person.status == RecordStatus::Deleted);
    seen.odd("agents", person.status == RecordStatus::Agent);
    seen.odd("phone numbers", matches!(person.system[SystemField::Phone], Given::Value(_)));
    seen.noted("user", file, &person.problems, person.unknown.as_ref());
}

/// One answer of the API.
pub fn answer(seen: &mut Seen, file: &str, resource: &str, body: &[u8], ctx: &DecodeContext<'_>) {
    if resource == "errors" {
        let error = decode::error_message(422, body);
        *seen.decoded.entry("error").or_default() += 1;
        if error.code.is_empty() && error.description.is_empty() {
            seen.faults.push(format!("{file}: an error without words"));
        }
    }
    for raw in records(body, "users", "user") {
        if let Some(found) = seen.take("user", file, decode::user(&raw, ctx)) {
            person(seen, file, &found);
        }
    }
    for raw in records(body, "deleted_users", "deleted_user") {
        seen.take("deleted user", file, decode::deleted_user(&raw));
    }
    for raw in records(body, "organizations", "organization") {
        if let Some(found) = seen.take("organization", file, decode::organization(&raw, ctx)) {
            seen.noted("organization", file, &found.problems, found.unknown.as_ref());
        }
    }
    // The answer to recovering a suspended ticket calls suspended ones tickets too.
    let tickets = if resource.starts_with("suspended") { Vec::new() } else { records(body, "tickets", "ticket") };
    for raw in tickets {
        if let Some(found) = seen.take("ticket", file, decode::ticket(&raw, ctx)) {
            seen.odd("deleted tickets", found.is_deleted());
            seen.odd("scrubbed tickets", found.scrubbed);
            seen.odd("tickets with custom fields", !found.fields.is_empty());
            seen.noted("ticket", file, &found.problems, found.unknown.as_ref());
        }
    }
    happenings(seen, file, body, ctx);
}

/// Ratings, audits, fields and jobs of an answer.
fn happenings(seen: &mut Seen, file: &str, body: &[u8], ctx: &DecodeContext<'_>) {
    for raw in records(body, "satisfaction_ratings", "satisfaction_rating") {
        // Zendesk's own example of an answer to a rating names no ticket.
        if raw.get().contains("\"ticket_id\"") {
            let found = seen.take("rating", file, decode::rating(&raw)).flatten();
            seen.odd("ratings given", found.is_some_and(|rating| rating.score != "offered"));
        }
    }
    for raw in records(body, "ticket_events", "ticket_event").into_iter().chain(records(body, "audits", "audit")) {
        // Zendesk's own example of the answer to an update has an audit without its ticket.
        if !raw.get().contains("\"ticket_id\"") {
            continue;
        }
        if let Some(found) = seen.take("audit", file, decode::ticket_event(&raw, ctx)) {
            *seen.oddities.entry("activities").or_default() += found.activities.len();
            *seen.oddities.entry("comments").or_default() += found.comments.len();
        }
    }
    for (entity, many, one) in [
        ("person", "user_fields", "user_field"),
        ("organization", "organization_fields", "organization_field"),
        ("ticket", "ticket_fields", "ticket_field"),
    ] {
        let list = records(body, many, one);
        let (defs, refused) = decode::field_defs(entity, &list);
        *seen.decoded.entry("field").or_default() += list.len();
        seen.odd("fields of an account", !defs.is_empty());
        seen.faults.extend(refused.iter().map(|refused| format!("{file}: {entity} field: {}", refused.reason)));
    }
    for raw in records(body, "job_statuses", "job_status") {
        *seen.decoded.entry("job").or_default() += 1;
        match decode::job_status(&raw) {
            Some(job) => seen.odd("jobs with results", !job.rows.is_empty()),
            None => seen.faults.push(format!("{file}: a job without id")),
        }
    }
}

/// One delivery of a webhook.
pub fn delivery(seen: &mut Seen, file: &str, resource: &str, body: &[u8], ctx: &DecodeContext<'_>) {
    let Some(found) = seen.take("webhook", file, decode::webhook(body, ctx)) else { return };
    let envelope = decode::envelope(body);
    if envelope.and_then(|envelope| envelope.id).unwrap_or_default() != found.id {
        seen.faults.push(format!("{file}: envelope and webhook disagree"));
    }
    seen.odd("webhooks that are applied", found.known);
    if found.known != resource.starts_with("event_") {
        seen.faults.push(format!("{file}: known is {}", found.known));
    }
}

/// All recordings through the decoders.
pub fn read(folder: &Path) -> Seen {
    let settings = SourceSettings::default();
    let ctx = DecodeContext {
        settings: &settings,
        subdomain: None,
        default_region: None,
        blocked: &[],
        message_max_bytes: 16_384,
        store_message_bodies: true,
        private_comments: true,
    };
    let mut seen = Seen::default();
    for (kind, resource, file) in manifest(folder) {
        let Ok(body) = std::fs::read(folder.join(&file)) else { continue };
        match kind.as_str() {
            "api-response" if resource != "session" => answer(&mut seen, &file, &resource, &body, &ctx),
            "webhook-body" | "webhook-signature" => delivery(&mut seen, &file, &resource, &body, &ctx),
            _ => {}
        }
    }
    seen
}

#[test]
fn recorded_traffic_decodes() {
    let Some(folder) = corpus() else {
        println!("skipped: no recordings at ../shared/corpus");
        return;
    };
    let seen = read(&folder);
    println!("{:#?}\n{:#?}\n{:#?}", seen.decoded, seen.oddities, seen.unknown);
    assert!(seen.faults.is_empty(), "{:#?}", &seen.faults[..seen.faults.len().min(20)]);
    for kind in
        ["user", "deleted user", "organization", "ticket", "rating", "audit", "field", "job", "webhook", "error"]
    {
        assert!(seen.decoded.get(kind).is_some_and(|count| *count > 0), "no {kind}");
    }
    for (name, count) in &seen.oddities {
        assert!(*count > 0 || *name == "addresses that are none", "no {name}");
    }
}
