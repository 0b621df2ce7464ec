//! A contact: a person or an organization.
use super::Desk;
use super::problem::Problem;
use crate::options::CustomField;
use crate::time::Stamp;
use serde_json::{Map, Value, json};

/// Texts that a client may write.
const TEXTS: &[&str] = &[
    "name",
    "first_name",
    "last_name",
    "title",
    "description",
    "industry",
    "website",
    "email",
    "phone",
    "mobile",
    "fax",
    "twitter",
    "facebook",
    "linkedin",
    "skype",
];

/// Statuses, and what they may be.
const STATUSES: &[(&str, &[&str])] =
    &[("customer_status", &["none", "current", "past"]), ("prospect_status", &["none", "current", "lost"])];

const ADDRESS: &[&str] = &["line1", "city", "postal_code", "state", "country"];

/// A contact, key by key as it is written.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The keys.
    pub keys: Map<String, Value>,
}

/// What is wrong, field by field.
type Wrong = Vec<(String, &'static str, String)>;

impl Contact {
    /// The contact alone.
    pub fn as_json(&self) -> Value {
        Value::Object(self.keys.clone())
    }

    /// The contact in its envelope.
    pub fn wrapped(&self) -> Value {
        json!({"data": self.keys, "meta": {"version": 1, "type": "contact"}})
    }

    /// A value that a filter names.
    pub fn get(&self, name: &str) -> &Value {
        match name.strip_prefix("custom_fields[").and_then(|rest| rest.strip_suffix(']')) {
            Some(field) => self.keys.get("custom_fields").map_or(&Value::Null, |fields| &fields[field]),
            None => self.keys.get(name).unwrap_or(&Value::Null),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    fn blank(id: i64, owner_id: i64, now: Stamp) -> Self {
        let mut keys = Map::new();
        for name in TEXTS {
            keys.insert((*name).to_owned(), Value::Null);
        }
        for (name, _) in STATUSES {
            keys.insert((*name).to_owned(), "none".into());
        }
        let address: Map<_, _> = ADDRESS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        for (name, value) in [
            ("id", json!(id)),
            ("creator_id", json!(owner_id)),
            ("owner_id", json!(owner_id)),
            ("is_organization", json!(false)),
            ("contact_id", Value::Null),
            ("address", Value::Object(address)),
            ("tags", json!([])),
            ("custom_fields", json!({})),
            ("created_at", json!(now)),
            ("updated_at", json!(now)),
        ] {
            keys.insert(name.to_owned(), value);
        }
        Self { keys }
    }

    /// Takes what a client wrote; keys that nobody writes are left alone.
    fn take(&mut self, given: &Map<String, Value>, custom: &[CustomField], wrong: &mut Wrong) {
        for (name, value) in given {
            let key = name.as_str();
            let fits = match key {
                _ if TEXTS.contains(&key) => value.is_string() || value.is_null(),
                "owner_id" => value.is_i64(),
                "contact_id" => value.is_i64() || value.is_null(),
                "tags" => value.as_array().is_some_and(|tags| tags.iter().all(Value::is_string)),
                "address" | "custom_fields" => value.is_object(),
                "customer_status" | "prospect_status" => {
                    let allowed = STATUSES.iter().find(|(status, _)| *status == key).map(|(_, all)| *all);
                    value.as_str().is_some_and(|text| allowed.unwrap_or_default().contains(&text))
                }
                _ => continue,
            };
            if !fits {
                wrong.push((name.clone(), "invalid_type", format!("{name} has a value that it cannot have")));
                continue;
            }
            match (key, value) {
                ("address" | "custom_fields", Value::Object(inner)) => self.take_inner(key, inner, custom, wrong),
                _ => {
                    self.keys.insert(name.clone(), value.clone());
                }
            }
        }
    }

    /// Takes the parts of an address, or custom fields by name: those that are not named stay.
    fn take_inner(&mut self, key: &str, inner: &Map<String, Value>, custom: &[CustomField], wrong: &mut Wrong) {
        for (name, value) in inner {
            let field = custom.iter().find(|field| field.name == *name).filter(|_| key == "custom_fields");
            let (is_known, fits) = match field {
                Some(field) => (true, field.takes(value)),
                None => (key == "address" && ADDRESS.contains(&name.as_str()), value.is_string() || value.is_null()),
            };
            match (is_known, fits) {
                (true, true) => self.keys[key][name] = value.clone(),
                (true, false) => {
                    wrong.push((format!("{key}[{name}]"), "invalid_type", format!("{name} cannot have that value")));
                }
                (false, _) => wrong.push((format!("{key}[{name}]"), "invalid", format!("{name} is not known"))),
            }
        }
    }

    /// What every contact needs.
    fn check(&mut self, wrong: &mut Wrong) {
        let needed = if self.get("is_organization") == true { "name" } else { "last_name" };
        if self.text(needed).trim().is_empty() {
            wrong.push((needed.into(), "blank", format!("{needed} must not be blank")));
        }
        let email = self.text("email");
        let valid = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        if !email.is_empty() && !valid {
            wrong.push(("email".into(), "invalid", "email is not an address".into()));
        }
        if self.get("is_organization") != true {
            let name = format!("{} {}", self.text("first_name"), self.text("last_name"));
            self.keys.insert("name".into(), name.trim().into());
        }
    }
}

impl Desk {
    /// Makes a contact.
    pub fn create(&mut self, given: &Value, now: Stamp) -> Result<i64, Problem> {
        let given = object(given)?;
        self.next_id += 7;
        let mut contact = Contact::blank(self.next_id, self.owner_id, now);
        let organization = given.get("is_organization") == Some(&Value::Bool(true));
        contact.keys.insert("is_organization".into(), organization.into());
        self.keep(contact, given, now)
    }

    /// Changes a contact: what is given replaces, what is not stays.
    pub fn update(&mut self, id: i64, given: &Value, now: Stamp) -> Result<i64, Problem> {
        let given = object(given)?;
        let contact = self.contacts.get(&id).cloned().ok_or_else(|| Problem::not_found("contact"))?;
        self.keep(contact, given, now)
    }

    fn keep(&mut self, mut contact: Contact, given: &Map<String, Value>, now: Stamp) -> Result<i64, Problem> {
        let mut wrong = Wrong::new();
        contact.take(given, &self.settings.custom_fields, &mut wrong);
        contact.check(&mut wrong);
        if let Some(company) = contact.get("contact_id").as_i64()
            && self.contacts.get(&company).is_none_or(|other| other.get("is_organization") != true)
        {
            wrong.push(("contact_id".into(), "invalid", "contact_id is no organization".into()));
        }
        if !wrong.is_empty() {
            return Err(Problem::fields(&wrong));
        }
        contact.keys.insert("updated_at".into(), json!(now));
        let id = contact.get("id").as_i64().unwrap_or_default();
        self.contacts.insert(id, contact);
        Ok(id)
    }
}

fn object(given: &Value) -> Result<&Map<String, Value>, Problem> {
    let missing = || Problem::request(400, "data", "incorrect_payload", "The body has no data object");
    given.as_object().ok_or_else(missing)
}
