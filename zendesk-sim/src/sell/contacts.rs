//! `/v2/contacts`.
use super::Desk;
use super::contact::Contact;
use super::problem::Problem;
use crate::http::{Reply, Req};
use crate::time::Stamp;
use serde_json::{Value, json};
use std::cmp::Ordering;

/// What a list may be filtered by, and an upsert looked up by, beside `custom_fields[…]`.
const FILTERS: &[&str] = &[
    "email",
    "name",
    "first_name",
    "last_name",
    "contact_id",
    "owner_id",
    "creator_id",
    "is_organization",
    "customer_status",
    "prospect_status",
    "phone",
    "mobile",
];

impl Desk {
    /// Answers `/v2/contacts...`.
    pub fn contacts(&mut self, req: &Req, rest: &[&str], now: Stamp) -> Result<Reply, Problem> {
        let given = &req.body["data"];
        match (req.method.as_str(), rest) {
            ("GET", []) => self.list(req),
            ("POST", []) => self.create(given, now).map(|id| self.tell(id)),
            ("POST", ["upsert"]) => self.upsert(req, now),
            (method, [id]) => {
                let id = id.parse().ok().filter(|id| self.contacts.contains_key(id));
                let id = id.ok_or_else(|| Problem::not_found("contact"))?;
                match method {
                    "GET" => Ok(self.tell(id)),
                    "PUT" => self.update(id, given, now).map(|id| self.tell(id)),
                    "DELETE" => {
                        self.contacts.remove(&id);
                        Ok(Reply::nothing())
                    }
                    _ => Err(Problem::not_found("resource")),
                }
            }
            _ => Err(Problem::not_found("resource")),
        }
    }

    /// Answers `/v2/contact/custom_fields`: the definitions, each in its envelope.
    pub fn custom_fields(&self) -> Reply {
        let all = self.settings.custom_fields.iter().enumerate().map(|(at, field)| {
            let choices = field.choices.iter().enumerate().map(|(at, name)| json!({"id": at + 1, "name": name}));
            let choices = choices.collect::<Vec<_>>();
            json!({"data": {"id": 4_000 + at, "name": field.name, "type": field.kind, "choices": choices,
                "for_contact": true, "for_organisation": false}, "meta": {"type": "custom_field"}})
        });
        let rows: Vec<_> = all.collect();
        Reply::ok(&json!({"items": rows, "meta": {"type": "collection", "count": rows.len()}}))
    }

    fn tell(&self, id: i64) -> Reply {
        self.contacts.get(&id).map_or_else(Reply::not_found, |contact| Reply::ok(&contact.wrapped()))
    }

    /// Finds one contact and changes it, or makes one; several are an error.
    fn upsert(&mut self, req: &Req, now: Stamp) -> Result<Reply, Problem> {
        let filters = filters(req);
        if filters.is_empty() {
            return Err(Problem::request(400, "query", "missing", "An upsert needs at least one filter"));
        }
        let found: Vec<_> = self.contacts.iter().filter(|(_, c)| matches(c, &filters)).map(|(id, _)| *id).collect();
        match found.as_slice() {
            [] => self.create(&req.body["data"], now),
            [id] => self.update(*id, &req.body["data"], now),
            several => {
                let words = format!("{} contacts match; an upsert needs one", several.len());
                let (name, _) = &filters[0];
                return Err(Problem::fields(&[((*name).to_owned(), "invalid", words)]));
            }
        }
        .map(|id| self.tell(id))
    }

    fn list(&self, req: &Req) -> Result<Reply, Problem> {
        let number = |name: &str, usual: usize, most: usize| match req.q(name).map(str::parse::<usize>) {
            None => Ok(usual),
            Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(Problem::request(400, name, "invalid_param", &format!("{name} is between 1 and {most}"))),
        };
        let (page, size) = (number("page", 1, usize::MAX / 100)?, number("per_page", 25, 100)?);
        let filters = filters(req);
        let ids: Option<Vec<i64>> = req.q("ids").map(|text| text.split(',').filter_map(|id| id.parse().ok()).collect());
        let listed = |contact: &&Contact| {
            let id = contact.get("id").as_i64().unwrap_or_default();
            ids.as_ref().is_none_or(|ids| ids.contains(&id)) && matches(contact, &filters)
        };
        let mut all: Vec<_> = self.contacts.values().filter(listed).collect();
        let (key, falling) = match req.q("sort_by").unwrap_or("id").split_once(':') {
            Some((key, order)) => (key, order == "desc"),
            None => (req.q("sort_by").unwrap_or("id"), false),
        };
        if !matches!(key, "id" | "created_at" | "updated_at" | "name" | "first_name" | "last_name") {
            return Err(Problem::request(400, "sort_by", "invalid_param", "sort_by names no field to sort by"));
        }
        all.sort_by(|a, b| if falling { compare(b.get(key), a.get(key)) } else { compare(a.get(key), b.get(key)) });
        let rows: Vec<_> = all.iter().skip((page - 1) * size).take(size).map(|contact| contact.wrapped()).collect();
        let link = |page: usize| format!("https://api.getbase.com/v2/contacts?page={page}&per_page={size}");
        let mut links = json!({"self": link(page)});
        if page * size < all.len() {
            links["next_page"] = link(page + 1).into();
        }
        if page > 1 {
            links["prev_page"] = link(page - 1).into();
        }
        let meta = json!({"type": "collection", "count": rows.len(), "links": links});
        Ok(Reply::ok(&json!({"items": rows, "meta": meta})))
    }
}

/// The filters in a query.
fn filters(req: &Req) -> Vec<(&str, &str)> {
    let known = |name: &str| FILTERS.contains(&name) || name.starts_with("custom_fields[");
    req.query.iter().filter(|(name, _)| known(name)).map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Whether a contact has every value; texts compare without case.
fn matches(contact: &Contact, filters: &[(&str, &str)]) -> bool {
    filters.iter().all(|(name, wanted)| match contact.get(name) {
        Value::String(text) => text.to_lowercase() == wanted.to_lowercase(),
        Value::Null => false,
        other => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *other),
    })
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    }
}
