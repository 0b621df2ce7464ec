//! Asks a rich simulated account for everything that was ever recorded, and gathers the shapes of its answers.
use crate::common::{Receiver, World};
use crate::shape::{Shapes, endpoint};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use zendesk_sim::{Jobs, Settings};

struct Walk {
    world: World,
    shapes: Shapes,
    /// Values by name, for `{name}` in later requests.
    kept: BTreeMap<String, String>,
}

/// Requests in order: what to ask, what to send, and what to keep of the answer as `name=/json/pointer`.
type Step = (&'static str, Value, &'static str);

/// What the account's settings tell: its fields, groups, brands and forms.
fn furniture() -> Vec<Step> {
    let field = |name: &str, more: Value| {
        let mut field = json!({"key": name, "title": name, "type": "text", "description": "d"});
        field.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        field
    };
    let choices = json!({"type": "dropdown", "custom_field_options": [{"name": "A", "value": "recorded_a"}]});
    vec![
        ("POST groups", json!({"group": {"name": "Recorded"}}), "group=/group/id"),
        ("POST groups?include=users", json!({"group": {"name": "Recorded too"}}), ""),
        ("PUT groups/{group}", json!({"group": {"name": "Recorded again"}}), ""),
        ("GET groups", json!(null), "old_group=/groups/0/id"),
        ("GET groups?page[size]=5", json!(null), ""),
        ("GET groups/assignable", json!(null), ""),
        ("GET groups/{old_group}", json!(null), ""),
        ("GET brands", json!(null), "brand=/brands/0/id"),
        ("GET brands/{brand}", json!(null), ""),
        ("POST brands", json!({"brand": {"name": "Acme Outdoor", "subdomain": "x"}}), ""),
        ("POST brands", json!({"brand": {"name": "Second", "subdomain": "second-of-acme"}}), ""),
        ("GET ticket_forms", json!(null), "form=/ticket_forms/0/id"),
        ("GET ticket_forms/{form}", json!(null), ""),
        ("POST user_fields", json!({"user_field": field("recorded", json!({}))}), "user_field=/user_field/id"),
        ("POST user_fields", json!({"user_field": field("recorded_choice", choices.clone())}), ""),
        ("PUT user_fields/{user_field}", json!({"user_field": {"title": "t"}}), ""),
        ("GET user_fields/{user_field}", json!(null), ""),
        ("GET user_fields", json!(null), ""),
        (
            "POST organization_fields",
            json!({"organization_field": field("recorded", json!({}))}),
            "org_field=/organization_field/id",
        ),
        ("PUT organization_fields/{org_field}", json!({"organization_field": {"title": "t"}}), ""),
        ("GET organization_fields/{org_field}", json!(null), ""),
        ("GET organization_fields", json!(null), ""),
        (
            "POST ticket_fields",
            json!({"ticket_field": json!({"title": "t", "type": "text", "description": "d"})}),
            "ticket_field=/ticket_field/id",
        ),
        (
            "POST ticket_fields",
            json!({"ticket_field": json!({"title": "r", "type": "regexp", "regexp_for_validation": "a+"})}),
            "",
        ),
        (
            "POST ticket_fields",
            json!({"ticket_field": json!({"title": "c", "type": "tagger", "custom_field_options": [{"name": "A", "value": "recorded_t"}]})}),
            "",
        ),
        ("PUT ticket_fields/{ticket_field}", json!({"ticket_field": {"title": "t"}}), ""),
        ("GET ticket_fields/{ticket_field}", json!(null), ""),
        ("GET ticket_fields", json!(null), ""),
    ]
}

fn organizations() -> Vec<Step> {
    vec![
        (
            "POST organizations",
            json!({"organization": {"name": "Recorded", "external_id": "o1", "details": "d", "notes": "n",
            "tags": ["t"], "domain_names": ["recorded.example"], "organization_fields": {"recorded": "x"}}}),
            "org=/organization/id",
        ),
        (
            "POST organizations?include=abilities",
            json!({"organization": {"name": "Recorded too"}}),
            "org2=/organization/id",
        ),
        ("PUT organizations/{org}", json!({"organization": {"name": "Recorded again"}}), ""),
        ("PUT organizations/{org}?include=abilities", json!({"organization": {"name": "Recorded again 2"}}), ""),
        ("GET organizations/{org}", json!(null), ""),
        ("GET organizations", json!(null), ""),
        ("GET organizations?page[size]=2", json!(null), ""),
        ("GET organizations/show_many?ids={org},{org2}", json!(null), ""),
        (
            "POST organizations/create_many",
            json!({"organizations": [{"name": "M1"}, {"name": "M2"}]}),
            "job=/job_status/id",
        ),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("PUT organizations/update_many", json!({"organizations": [{"id": 1, "name": "M"}]}), "job=/job_status/id"),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
    ]
}

fn people() -> Vec<Step> {
    let many: Vec<_> = (0..2).map(|n| json!({"name": format!("Many {n}")})).collect();
    let few: Vec<_> = (0..101).map(|_| json!({"name": "x"})).collect();
    let full = json!({"name": "Full", "email": "full@recorded.example", "phone": "+351 211 111 111", "alias": "F",
        "details": "d", "notes": "n", "external_id": "recorded-1", "role": "agent", "signature": "s", "tags": ["t"],
        "remote_photo_url": "https://example.com/a.png", "user_fields": {"recorded": "x"}});
    vec![
        ("POST users", json!({"user": {"name": "Plain"}}), "user=/user/id"),
        ("POST users", json!({"user": full}), "agent=/user/id"),
        (
            "POST users?include=organizations,abilities,roles,identities,groups,open_ticket_count",
            json!({"user": {"name": "Sided"}}),
            "user2=/user/id",
        ),
        ("PUT users/{user}", json!({"user": {"name": "Plain again"}}), ""),
        (
            "PUT users/{user}?include=organizations,abilities,roles,identities,groups",
            json!({"user": {"name": "Plain 2"}}),
            "",
        ),
        ("PUT users/{user}", json!({"user": {"phone": "12345678", "shared_phone_number": true}}), ""),
        ("GET users/{user}", json!(null), ""),
        ("GET users/me", json!(null), "me=/user/id"),
        ("GET users", json!(null), ""),
        ("GET users?include=organizations,abilities,roles,identities,groups", json!(null), ""),
        ("GET users?page[size]=2", json!(null), ""),
        ("GET users/show_many?ids={user},{user2}", json!(null), ""),
        ("GET users/search?query=recorded.example", json!(null), ""),
        ("POST users/create_many", json!({"users": many}), "job=/job_status/id"),
        ("POST users/create_many", json!({"users": few}), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("PUT users/update_many", json!({"users": [{"id": 1, "name": "x"}]}), ""),
    ]
}

/// What hangs on a user.
fn parts_of_people() -> Vec<Step> {
    vec![
        (
            "POST users/{user}/identities",
            json!({"identity": {"type": "email", "value": "second@recorded.example"}}),
            "identity=/identity/id",
        ),
        ("POST users/{user}/identities", json!({"identity": {"type": "email", "value": "full@recorded.example"}}), ""),
        ("GET users/{user}/identities", json!(null), ""),
        ("GET users/{user}/identities/{identity}", json!(null), ""),
        (
            "POST organization_memberships",
            json!({"organization_membership": {"user_id": "{user}", "organization_id": "{org}"}}),
            "",
        ),
        (
            "POST group_memberships",
            json!({"group_membership": {"user_id": "{agent}", "group_id": "{old_group}"}}),
            "member=/group_membership/id",
        ),
        ("GET group_memberships", json!(null), "member=/group_memberships/0/id"),
        ("GET group_memberships?page[size]=2", json!(null), ""),
        ("GET group_memberships/{member}", json!(null), ""),
        ("GET users/{agent}/group_memberships", json!(null), ""),
        ("GET users/{agent}/groups", json!(null), ""),
        ("GET organizations/{org}/users", json!(null), ""),
    ]
}

fn tickets() -> Vec<Step> {
    vec![
        (
            "POST tickets",
            json!({"ticket": {"subject": "S", "comment": {"body": "b"}, "requester_id": "{user}",
            "tags": ["t"], "priority": "high", "type": "question", "email_ccs": ["{agent}"]}}),
            "ticket=/ticket/id",
        ),
        (
            "POST tickets",
            json!({"ticket": {"subject": "S", "description": "d", "requester_id": "{user}",
            "assignee_id": "{agent}"}}),
            "ticket2=/ticket/id",
        ),
        (
            "POST tickets?include=users,groups,organizations",
            json!({"ticket": {"subject": "S", "description": "d"}}),
            "ticket3=/ticket/id",
        ),
        (
            "POST tickets?include=users,groups,organizations,last_audits,metric_sets,dates,sharing_agreements,comment_count,incident_counts,ticket_forms,metric_events,slas",
            json!({"ticket": {"subject": "S", "description": "d", "assignee_id": "{me}"}}),
            "",
        ),
        (
            "PUT tickets/{ticket}",
            json!({"ticket": {"comment": {"body": "again"}, "status": "open", "tags": ["u"]}}),
            "",
        ),
        ("PUT tickets/{ticket}?include=users,groups,organizations", json!({"ticket": {"priority": "low"}}), ""),
        ("GET tickets/{ticket}", json!(null), ""),
        ("GET tickets/{ticket}?include=users,groups,organizations", json!(null), ""),
        ("GET tickets", json!(null), ""),
        ("GET tickets?include=users,groups,organizations", json!(null), ""),
        ("GET tickets?page[size]=2", json!(null), ""),
        ("GET tickets/recent", json!(null), ""),
        ("GET tickets/show_many?ids={ticket},{ticket2}", json!(null), ""),
        ("GET tickets/show_many?ids={ticket},{ticket2}&include=users,groups,organizations", json!(null), ""),
        ("POST uploads?filename=a.txt", json!("words"), "upload=/upload/token"),
        (
            "POST tickets",
            json!({"ticket": {"subject": "F", "comment": {"body": "b", "uploads": ["{upload}"]}}}),
            "filed=/ticket/id",
        ),
        ("GET tickets/{filed}/comments", json!(null), "said=/comments/0/id"),
        ("GET tickets/{filed}/comments", json!(null), "file=/comments/0/attachments/0/id"),
        ("PUT tickets/{filed}/comments/{said}/attachments/{file}/redact", json!({}), ""),
        ("GET tickets/{ticket}/comments", json!(null), ""),
        ("GET tickets/{ticket}/comments?page[size]=2", json!(null), ""),
        ("GET tickets/{ticket}/audits", json!(null), ""),
        ("GET tickets/{ticket}/audits?include=users", json!(null), ""),
    ]
}

/// Lists of tickets, and what is made in bulk.
fn more_tickets() -> Vec<Step> {
    vec![
        ("GET users/{user}/tickets/requested", json!(null), ""),
        ("GET users/{user}/tickets/ccd", json!(null), ""),
        ("GET organizations/{org}/tickets", json!(null), ""),
        ("GET ticket_metrics", json!(null), ""),
        ("GET satisfaction_ratings", json!(null), "rating=/satisfaction_ratings/0/id"),
        ("GET satisfaction_ratings/received", json!(null), ""),
        ("GET satisfaction_ratings/{rating}", json!(null), ""),
        ("GET search?query=type:ticket", json!(null), ""),
        ("GET search?query=type:user", json!(null), ""),
        ("GET search?query=type:user&page=2&per_page=50", json!(null), ""),
        ("GET search?query=type:organization", json!(null), ""),
        ("GET search?query=type:group", json!(null), ""),
        (
            "POST imports/tickets",
            json!({"ticket": {"subject": "Old", "requester_id": "{user}", "comments": [{"value": "x"}]}}),
            "",
        ),
        (
            "POST tickets/create_many",
            json!({"tickets": [{"subject": "A", "comment": {"body": "b"}}]}),
            "job=/job_status/id",
        ),
        (
            "POST tickets/create_many?include=users,groups,organizations",
            json!({"tickets": [{"subject": "A", "comment": {"body": "b"}}]}),
            "",
        ),
        ("GET job_statuses/{job}", json!(null), ""),
        ("GET job_statuses/{job}", json!(null), ""),
        ("PUT tickets/update_many", json!({"tickets": [{"id": "{ticket}", "priority": "low"}]}), "job=/job_status/id"),
        (
            "PUT tickets/update_many?include=users,groups,organizations",
            json!({"tickets": [{"id": "{ticket}", "priority": "low"}]}),
            "",
        ),
    ]
}

fn exports() -> Vec<Step> {
    vec![
        ("GET incremental/users/cursor?start_time=0&per_page=1", json!(null), ""),
        ("GET incremental/users/cursor?start_time=0", json!(null), ""),
        ("GET incremental/users?start_time=0", json!(null), "end=/end_time"),
        ("GET incremental/users?start_time={end}", json!(null), ""),
        ("GET incremental/users?start_time=0&per_page=1", json!(null), ""),
        ("POST /_sim/advance", json!({"seconds": 7_201}), ""),
        ("GET incremental/tickets?start_time={now}", json!(null), ""),
        ("GET incremental/tickets/cursor?start_time=0&per_page=1", json!(null), ""),
        ("GET incremental/tickets/cursor?start_time=0", json!(null), "cursor=/after_cursor"),
        ("GET incremental/tickets/cursor?cursor={cursor}", json!(null), ""),
        ("POST /_sim/advance", json!({"seconds": 1}), ""),
        ("GET incremental/tickets/cursor?cursor={cursor}", json!(null), ""),
        ("GET incremental/tickets?start_time=0", json!(null), ""),
        ("GET incremental/tickets?start_time=0&per_page=1", json!(null), ""),
    ]
}

fn hooks() -> Vec<Step> {
    let hook = |more: Value| {
        let mut hook = json!({"name": "Recorded", "endpoint": "{receiver}", "http_method": "POST", "request_format": "json",
            "status": "active", "subscriptions": ["zen:event-type:user.created"], "description": "d"});
        hook.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "webhook": hook })
    };
    let basic = json!({"authentication": {"type": "basic_auth", "add_position": "header",
        "data": {"username": "u", "password": "p"}}});
    let bearer = json!({"authentication": {"type": "bearer_token", "add_position": "header", "data": {"token": "t"}}});
    vec![
        ("POST webhooks", hook(basic), "hook=/webhook/id"),
        ("POST webhooks", hook(bearer), ""),
        ("POST users", json!({"user": {"name": "Told of"}}), ""),
        (
            "POST users/create_many",
            json!({"users": (0..100).map(|n| json!({"name": format!("Told {n}")})).collect::<Vec<_>>()}),
            "",
        ),
        ("POST /_sim/advance", json!({"seconds": 60}), ""),
        ("POST /_sim/advance", json!({"seconds": 60}), ""),
        ("PUT webhooks/{hook}", hook(json!({"description": "again"})), ""),
        ("GET webhooks/{hook}", json!(null), ""),
        ("GET webhooks/{hook}/invocations", json!(null), "invocation=/invocations/0/id"),
        ("GET webhooks/{hook}/invocations?page[size]=1", json!(null), ""),
        ("GET webhooks/{hook}/invocations/{invocation}/attempts", json!(null), ""),
        ("POST webhooks/test?webhook_id={hook}", json!({"request": {"endpoint": "{receiver}"}}), ""),
    ]
}

fn ends() -> Vec<Step> {
    vec![
        ("DELETE tickets/destroy_many?ids={ticket2},{ticket3}", json!(null), ""),
        ("DELETE tickets/destroy_many?ids={filed}&include=users", json!(null), ""),
        ("DELETE users/destroy_many?ids={user2}&include=groups", json!(null), ""),
        ("DELETE tickets/{ticket}", json!(null), ""),
        ("DELETE users/{user2}", json!(null), ""),
        ("DELETE users/destroy_many?ids={user}", json!(null), ""),
        ("DELETE organizations/destroy_many?ids={org2}", json!(null), ""),
        ("DELETE organizations/{org}", json!(null), ""),
        ("DELETE group_memberships/{member}", json!(null), ""),
        ("DELETE groups/{group}", json!(null), ""),
        ("DELETE webhooks/{hook}", json!(null), ""),
        ("GET users/1", json!(null), ""),
        ("GET nowhere", json!(null), ""),
        ("POST /_sim/advance", json!({"seconds": 120}), ""),
        ("GET incremental/users/cursor?start_time=0", json!(null), ""),
    ]
}

impl Walk {
    fn filled(&self, text: &str) -> String {
        let put = |text: String, (name, value): (&String, &String)| text.replace(&format!("{{{name}}}"), value);
        self.kept.iter().fold(text.to_owned(), put)
    }

    /// The same in a body, where an id is a number.
    fn filled_body(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let filled = self.filled(text);
                match filled.parse::<i64>() {
                    Ok(id) if text.starts_with('{') => id.into(),
                    _ => filled.into(),
                }
            }
            Value::Array(list) => list.iter().map(|value| self.filled_body(value)).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), self.filled_body(value))).collect(),
            other => other.clone(),
        }
    }

    async fn step(&mut self, (line, sent, keep): &Step) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let path = self.filled(path);
        let target = if path.starts_with('/') { path } else { format!("/api/v2/{path}") };
        let sent = Some(self.filled_body(sent)).filter(|sent| !sent.is_null());
        let method_of = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = self.world.send(method_of, &target, sent, Some(&self.world.token)).await;
        let name = endpoint(method, &target);
        self.shapes.add(&name, answer.status, &answer.body, 0);
        let (name, pointer) = keep.split_once('=').unwrap_or_default();
        if let Some(found) = answer.body.pointer(pointer).filter(|found| !found.is_null() && !name.is_empty()) {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            self.kept.insert(name.to_owned(), text);
        }
    }

    /// What somebody gets who may not.
    async fn refused(&mut self) {
        let agent = self.world.post("/_sim/tokens", json!({"role": "agent"})).await.body["token"].clone();
        let answer = self.world.send(Method::GET, "/api/v2/incremental/users?start_time=0", None, agent.as_str()).await;
        self.shapes.add("GET /incremental/users", answer.status, &answer.body, 0);
    }

    /// Every audit of every ticket, and the comments of some.
    async fn histories(&mut self) {
        for ticket in self.world.truth("tickets").await {
            let audits = ("GET tickets/{any}/audits", json!(null), "");
            self.kept.insert("any".into(), ticket["id"].to_string());
            self.step(&audits).await;
            self.step(&("GET tickets/{any}/comments", json!(null), "")).await;
        }
    }
}

/// The whole walk.
pub async fn gather() -> Shapes {
    let jobs = Jobs { typed: true, ..Jobs::default() };
    let settings = Settings { users: Some(130), tickets: Some(150), jobs: Some(jobs), ..Settings::default() };
    let world = World::start(settings).await;
    world.advance(86_400, 300).await;
    let receiver = Receiver::start(&[200, 500]).await;
    // The driven clock stands at noon of 2 March 2026: an hour later nothing has happened yet, and a later step passes it.
    let kept = [("receiver".to_owned(), receiver.url.clone()), ("now".to_owned(), "1772456400".to_owned())].into();
    let mut walk = Walk { world, shapes: Shapes::default(), kept };
    for steps in
        [furniture(), organizations(), people(), parts_of_people(), tickets(), more_tickets(), hooks(), exports()]
    {
        for step in &steps {
            walk.step(step).await;
        }
    }
    walk.histories().await;
    for step in &ends() {
        walk.step(step).await;
    }
    walk.refused().await;
    walk.shapes
}
