//! Replays a recorded session against a simulated account: what was there before the session is made first, and what
//! the real account called one thing is called by the simulation's own id.
use crate::common::{Answer, Receiver, World};
use crate::corpus::Exchange;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use zendesk_sim::Settings;

/// A session in play.
pub struct Replay {
    world: World,
    /// What the simulation calls what the recording calls otherwise: ids, cursors, times.
    names: BTreeMap<String, String>,
}

/// What keys that end in an id speak of.
const REFERENCES: &[(&str, &str)] = &[
    ("requester_id", "user"),
    ("submitter_id", "user"),
    ("assignee_id", "agent"),
    ("author_id", "user"),
    ("user_id", "user"),
    ("collaborator_ids", "user"),
    ("organization_id", "organization"),
    ("group_id", "group"),
    ("ticket_id", "ticket"),
];

/// Names in paths and of records: many, one.
const KINDS: &[(&str, &str)] = &[
    ("groups", "group"),
    ("organizations", "organization"),
    ("users", "user"),
    ("tickets", "ticket"),
    ("identities", "identity"),
    ("group_memberships", "group_membership"),
    ("satisfaction_ratings", "satisfaction_rating"),
    ("ticket_fields", "ticket_field"),
    ("user_fields", "user_field"),
    ("organization_fields", "organization_field"),
    ("webhooks", "webhook"),
];

/// What of a recorded user, organization or ticket is given to the one that stands for it.
const USER: &[&str] = &[
    "name",
    "email",
    "phone",
    "alias",
    "details",
    "notes",
    "external_id",
    "signature",
    "organization_id",
    "verified",
    "suspended",
    "tags",
    "only_private_comments",
];
const ORGANIZATION: &[&str] = &["name", "external_id", "details", "notes", "tags"];
const TICKET: &[&str] =
    &["subject", "requester_id", "assignee_id", "group_id", "priority", "type", "external_id", "tags"];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The records of an answer, each with its kind.
fn records(body: &Value) -> Vec<(&'static str, &Value)> {
    let Some(members) = body.as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for (many, one) in KINDS {
        found.extend(members.get(*many).and_then(Value::as_array).into_iter().flatten().map(|record| (*one, record)));
        found.extend(members.get(*one).filter(|value| value.is_object()).map(|record| (*one, record)));
    }
    for row in members.get("results").and_then(Value::as_array).into_iter().flatten() {
        let kind = KINDS.iter().find(|(_, one)| row["result_type"] == *one);
        found.extend(kind.map(|(_, one)| (*one, row)));
    }
    found
}

impl Replay {
    /// An account as it was before the session.
    pub async fn begin(session: &[Exchange]) -> Self {
        let settings = Settings {
            users: Some(5),
            agents: Some(2),
            tickets: Some(0),
            organizations: Some(1),
            ..Settings::default()
        };
        let mut replay = Self { world: World::start(settings).await, names: BTreeMap::new() };
        let nowhere = Receiver::start(&[404; 3]).await;
        replay.names.insert("https://example.org/fail".into(), nowhere.url);
        replay.furnish(session).await;
        replay.world.advance(120, 0).await;
        replay
    }

    /// Makes what the answers show and the session did not make.
    async fn furnish(&mut self, session: &[Exchange]) {
        let mut made: Vec<String> = Vec::new();
        for exchange in session {
            let results = exchange.body["job_status"]["results"].as_array().into_iter().flatten();
            made.extend(results.filter(|row| row["status"] == "Created").map(|row| text(&row["id"])));
            if exchange.status == Some(201) {
                made.extend(records(&exchange.body).iter().map(|(_, record)| text(&record["id"])));
            }
        }
        for kind in KINDS.iter().map(|(_, one)| *one) {
            for exchange in session {
                for (_, record) in records(&exchange.body).into_iter().filter(|(other, _)| *other == kind) {
                    let name = text(&record["id"]);
                    if !made.contains(&name) && !self.names.contains_key(&name) {
                        let alive = exchange.method.as_deref() == Some("DELETE");
                        self.make(kind, record, alive).await;
                    }
                }
            }
        }
        for exchange in session {
            self.place(exchange).await;
            self.meet_path(&exchange.target, &made).await;
            self.meet_body(exchange.sent.as_ref().unwrap_or(&Value::Null), &made).await;
        }
    }

    /// Puts an agent into the groups that an answer lists for them.
    async fn place(&mut self, exchange: &Exchange) {
        let parts: Vec<_> = exchange.target.split('/').collect();
        let ["", "api", "v2", "users", user, "groups"] = parts.as_slice() else { return };
        self.meet("agent", user.parse().expect("an id"), &[]).await;
        for (_, group) in records(&exchange.body) {
            let member = self.translated(&json!({"user_id": user, "group_id": group["id"]}));
            let member =
                json!({"user_id": text(&member["user_id"]).parse::<i64>().ok(), "group_id": member["group_id"]});
            self.world.post("/api/v2/group_memberships", json!({ "group_membership": member })).await;
        }
    }

    /// Makes the records that a path names and no answer shows.
    async fn meet_path(&mut self, target: &str, made: &[String]) {
        let path = target.split(['?', '&']).next().unwrap_or_default().trim_end_matches(".json");
        let parts: Vec<_> = path.split('/').collect();
        for pair in parts.windows(2) {
            let kind = KINDS.iter().find(|(many, _)| *many == pair[0]);
            if let (Some((_, one)), Ok(id)) = (kind, pair[1].parse::<i64>()) {
                self.meet(one, id, made).await;
            }
        }
    }

    /// Makes the records that a body or a record refers to.
    async fn meet_body(&mut self, value: &Value, made: &[String]) {
        let mut wanted = Vec::new();
        references(value, false, &mut wanted);
        for (kind, id) in wanted {
            self.meet(kind, id, made).await;
        }
    }

    async fn meet(&mut self, kind: &str, id: i64, made: &[String]) {
        let name = id.to_string();
        if !made.contains(&name) && !self.names.contains_key(&name) {
            Box::pin(self.make(kind, &json!({"id": id, "name": format!("{kind} {id}")}), true)).await;
        }
    }

    /// Makes one record from what the recording says of it.
    async fn make(&mut self, kind: &str, record: &Value, alive: bool) {
        self.meet_body(&json!({kind: record}), &[]).await;
        self.world.advance(1, 0).await;
        let known = self.translated(record);
        let created = match kind {
            "user" => self.user(&known, &known["role"]).await,
            "agent" => self.user(&known, &"agent".into()).await,
            "organization" => self.act("create_organization", &known, ORGANIZATION, json!({})).await,
            "ticket" => self.ticket(&known).await,
            "satisfaction_rating" => self.rating(&known).await,
            "identity" => self.identity(&known).await,
            "group_membership" if known["user_id"].is_null() => self.membership().await,
            "webhook" => self.tried_webhook().await,
            _ => {
                let many = KINDS.iter().find(|(_, one)| *one == kind).map_or("", |(many, _)| many);
                self.world.post(&format!("/api/v2/{many}"), json!({kind: known.clone()})).await.body[kind].clone()
            }
        };
        if !created["id"].is_null() {
            self.names.insert(text(&record["id"]), text(&created["id"]));
        }
        if record["active"] == false && !alive && kind == "user" {
            self.world.act(json!({"do": "delete_user", "user_id": created["id"]})).await;
        }
    }

    /// An act of the admin door with these parts of what is known, and more.
    async fn act(&self, name: &str, known: &Value, parts: &[&str], more: Value) -> Value {
        let mut given = json!({"do": name});
        let taken = parts.iter().filter(|part| !known[**part].is_null()).map(|part| (*part, &known[*part]));
        for (part, value) in taken {
            given[part] = value.clone();
        }
        for (part, value) in more.as_object().into_iter().flatten() {
            given[part] = value.clone();
        }
        self.world.act(given).await
    }

    async fn user(&self, known: &Value, role: &Value) -> Value {
        let mut more = json!({"signs_in": !known["last_login_at"].is_null()});
        if !role.is_null() {
            more["role"] = role.clone();
        }
        if !known["photo"].is_null() {
            more["remote_photo_url"] = "https://example.com/a.png".into();
        }
        self.act("create_user", known, USER, more).await
    }

    /// Puts a ticket's requester, where it is known, into its organization.
    async fn home(&self, ticket: &Value) {
        let path = format!("/api/v2/users/{}", ticket["requester_id"]);
        self.world.put(&path, json!({"user": {"organization_id": ticket["organization_id"]}})).await;
    }

    async fn ticket(&self, known: &Value) -> Value {
        if known["organization_id"].is_i64() {
            self.home(known).await;
        }
        let mut more = json!({"body": known["description"].as_str().unwrap_or("d")});
        if known["collaborator_ids"].as_array().is_some_and(|all| !all.is_empty()) {
            more["email_ccs"] = known["collaborator_ids"].clone();
        }
        let made = self.act("create_ticket", known, TICKET, more).await;
        // Whoever asks has worked on it, so it is among the recent ones.
        let other = if known["priority"] == "high" { "low" } else { "high" };
        self.world.put(&format!("/api/v2/tickets/{}", made["id"]), json!({"ticket": {"priority": other}})).await;
        if known["satisfaction_rating"]["score"] == "good" {
            self.rating(&json!({"ticket_id": made["id"], "comment": known["satisfaction_rating"]["comment"]})).await;
        }
        made
    }

    async fn rating(&self, known: &Value) -> Value {
        let solved = json!({"do": "update_ticket", "ticket_id": known["ticket_id"], "fields": {"status": "solved"}});
        self.world.act(solved).await;
        self.act("rate", known, &["ticket_id", "comment"], json!({"score": "good"})).await
    }

    /// The address a user was made with is there already.
    async fn identity(&self, known: &Value) -> Value {
        let path = format!("/api/v2/users/{}/identities", known["user_id"]);
        let given = json!({"identity": {"type": known["type"], "value": known["value"]}});
        let made = self.world.post(&path, given).await.body["identity"].clone();
        if made.is_null() { self.world.get(&path).await.body["identities"][0].clone() } else { made }
    }

    /// A membership of which only the id is known.
    async fn membership(&self) -> Value {
        let agent = self.world.act(json!({"do": "create_user", "name": "Agent", "role": "agent"})).await;
        let group = self.world.get("/api/v2/groups").await.body["groups"][0]["id"].clone();
        let given = json!({"group_membership": {"user_id": agent["id"], "group_id": group}});
        self.world.post("/api/v2/group_memberships", given).await.body["group_membership"].clone()
    }

    /// A webhook that was called.
    async fn tried_webhook(&self) -> Value {
        let nowhere = Receiver::start(&[]).await;
        let given = json!({"name": "Recorded", "endpoint": nowhere.url, "http_method": "POST", "request_format": "json",
            "status": "active", "subscriptions": ["zen:event-type:user.created"], "description": "d"});
        let made = self.world.post("/api/v2/webhooks", json!({ "webhook": given })).await.body["webhook"].clone();
        // More than a page of invocations.
        let users: Vec<_> = (0..60).map(|n| json!({"name": format!("Told {n}")})).collect();
        for _ in 0..2 {
            self.world.post("/api/v2/users/create_many", json!({ "users": users })).await;
            self.world.advance(60, 0).await;
        }
        made
    }

    fn word(&self, word: &str) -> Option<&String> {
        self.names.get(word)
    }

    /// A recorded value with the simulation's names.
    fn translated(&self, value: &Value) -> Value {
        match value {
            Value::Number(_) | Value::String(_) => match self.word(&text(value)) {
                Some(name) if value.is_number() => {
                    name.parse::<i64>().map_or_else(|_| name.clone().into(), Value::from)
                }
                Some(name) => name.clone().into(),
                None => value.clone(),
            },
            Value::Array(list) => list.iter().map(|value| self.translated(value)).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), self.translated(value))).collect(),
            other => other.clone(),
        }
    }

    /// A recorded path and query with the simulation's names.
    fn target(&self, target: &str) -> String {
        let mut put = String::new();
        let mut word = String::new();
        let flush = |word: &mut String, put: &mut String| {
            let plain = word.replace("%3D", "=");
            put.push_str(self.word(&plain).map_or(word.clone(), |name| name.replace('=', "%3D")).as_str());
            word.clear();
        };
        for letter in target.chars() {
            if "/?&=,.".contains(letter) {
                flush(&mut word, &mut put);
                put.push(letter);
            } else {
                word.push(letter);
            }
        }
        flush(&mut word, &mut put);
        put
    }

    /// Sends a request as it was recorded; a job is asked for until it is as far as it was then.
    pub async fn send(&mut self, exchange: &Exchange) -> Answer {
        let method = Method::from_bytes(exchange.method.as_deref().unwrap_or("GET").as_bytes()).expect("a method");
        let target = self.target(&exchange.target);
        let sent = exchange.sent.as_ref().map(|sent| self.translated(sent));
        let wanted = exchange.body["job_status"]["status"].as_str();
        let mut tries = 0;
        loop {
            self.world.advance(1, 0).await;
            let answer = self.world.send(method.clone(), &target, sent.clone(), Some(&self.world.token)).await;
            tries += 1;
            let waits =
                method == Method::GET && wanted.is_some_and(|status| answer.body["job_status"]["status"] != status);
            if !waits || tries == 10 {
                self.learn(&exchange.body, &answer.body);
                return answer;
            }
        }
    }

    /// Remembers what the simulation calls what the recording names.
    fn learn(&mut self, recorded: &Value, answered: &Value) {
        match (recorded, answered) {
            (Value::Object(recorded), Value::Object(answered)) => {
                for (key, value) in recorded {
                    let Some(other) = answered.get(key) else { continue };
                    let named = key == "id" || key.ends_with("_cursor") || key == "end_time";
                    if named && !other.is_null() && !value.is_null() {
                        self.names.entry(text(value)).or_insert_with(|| text(other));
                    }
                    self.learn(value, other);
                }
            }
            (Value::Array(recorded), Value::Array(answered)) => {
                recorded.iter().zip(answered).for_each(|(recorded, answered)| self.learn(recorded, answered));
            }
            _ => {}
        }
    }
}

/// The records that a value refers to, with their kinds; who is in a group is an agent.
fn references(value: &Value, in_group: bool, found: &mut Vec<(&'static str, i64)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let kind = REFERENCES.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
                let kind = kind.map(|kind| if in_group && kind == "user" { "agent" } else { kind });
                let ids: Vec<_> = match value {
                    Value::Array(list) => list.iter().filter_map(Value::as_i64).collect(),
                    one => one.as_i64().into_iter().collect(),
                };
                found.extend(kind.into_iter().flat_map(|kind| ids.iter().map(move |id| (kind, *id))));
                references(value, in_group || key.starts_with("group_membership"), found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, in_group, found)),
        _ => {}
    }
}
