//! People, agents and organizations.

use super::findings::Findings;
use super::truth::{Ours, Truth, id, sorted};
use crate::rules::name;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Fields that Deskbridge itself keeps under `zd.`, with what they are called in the true state.
const OWN: [(&str, &str); 9] = [
    ("zd.name", "name"),
    ("zd.role", "role"),
    ("zd.suspended", "suspended"),
    ("zd.verified", "verified"),
    ("zd.notes", "notes"),
    ("zd.details", "details"),
    ("zd.alias", "alias"),
    ("zd.tags", "tags"),
    ("zd.organization_id", "organization_id"),
];

/// Checks everybody.
pub fn check(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    for (user, true_user) in truth.users.iter().filter(|(_, user)| user["role"] == "end-user") {
        let link = ours.links.get(user);
        let record = format!("user {user}");
        match (true_user["active"].as_bool(), link) {
            (Some(true), Some(link)) => living(&record, link, true_user, ours, findings),
            (Some(true), None) => findings.add(&record, "person", Value::Null, "an active customer"),
            (_, Some(link)) => gone(&record, link, true_user, ours, findings),
            // Deleted before we came.
            (_, None) => {}
        }
    }
    for (user, link) in &ours.links {
        if !truth.users.contains_key(user) {
            findings.add(format!("user {user}"), "person", link["person_id"].clone(), Value::Null);
        }
        if link["person"].is_null() {
            findings.add(format!("user {user}"), "person", Value::Null, link["person_id"].clone());
        }
    }
    for nobody in &ours.tables.nobody {
        findings.add(format!("person {}", id(&nobody["id"])), "record", "none", Value::Null);
    }
    one_person_each(truth, ours, findings);
}

/// Two customers who are alive are two people.
fn one_person_each(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (user, _) in truth.users.iter().filter(|(_, user)| user["role"] == "end-user" && user["active"] == true) {
        if let Some(person) = ours.person(user)
            && !seen.insert(person)
        {
            findings.add(format!("user {user}"), "person", json!({"shared": person}), "a person of their own");
        }
    }
}

/// A customer who is gone: marked so, or the person of who they became.
fn gone(record: &str, link: &Value, user: &Value, ours: &Ours, findings: &mut Findings) {
    let status = link["status"].as_str().unwrap_or_default();
    if user["merged_into"].is_null() {
        let expected = if user["permanently_deleted"] == true { "erased" } else { "deleted" };
        findings.check(record, "status", &link["status"], &json!(expected));
        return;
    }
    let winner = ours.person(&id(&user["merged_into"]));
    if winner != link["person_id"].as_i64() || status != "merged" {
        findings.add(record, "merged into", json!([link["person_id"], status]), json!([winner, "merged"]));
    }
}

fn living(record: &str, link: &Value, user: &Value, ours: &Ours, findings: &mut Findings) {
    let person = &link["person"];
    let status = if user["suspended"] == true { "suspended" } else { "active" };
    findings.check(record, "status", &link["status"], &json!(status));
    findings.check(record, "organization", &link["organization"], &json!(id(&user["organization_id"])));
    // What the winner of a merge does not say may stay from who went into it.
    let merged = ours.shares.get(&person["id"].as_i64().unwrap_or_default()).is_some_and(|records| *records > 1);
    let mut check = |field: &str, here: &Value, there: Value| {
        if !(merged && super::findings::plain(&there).is_null()) {
            findings.check(record, field, here, &there);
        }
    };
    let words = user["name"].as_str().unwrap_or_default();
    let parts = name::split(words, ours.source.settings.name_splitting, user["locale"].as_str());
    check("first name", &person["first_name"], json!(parts.first));
    check("last name", &person["last_name"], json!(parts.last));
    let email = user["email"].as_str().unwrap_or_default();
    let is_address = email.contains('@') && !email.contains(' ');
    check("email", &person["email"], json!(if is_address { email } else { "" }));
    check("zd.email_invalid", &person["fields"]["zd.email_invalid"], json!(if is_address { "" } else { email }));
    check("phone", &person["phone"], json!(user["phone"].as_str().map(|phone| ours.phone(phone))));
    check("locale", &person["locale"], user["locale"].clone());
    check("time zone", &person["time_zone"], user["iana_time_zone"].clone());
    check("external id", &person["external_id"], user["external_id"].clone());
    for (field, there) in OWN {
        let there = match there {
            "tags" => json!(sorted(&user["tags"])),
            "organization_id" => json!(id(&user["organization_id"])),
            _ => user[there].clone(),
        };
        check(field, &person["fields"][field], there);
    }
    custom("zd.", &person["fields"], &user["fields"], &mut check);
}

/// Custom fields: what is set there is so here, and what is not is not.
fn custom(prefix: &str, here: &Value, there: &Value, check: &mut impl FnMut(&str, &Value, Value)) {
    // Where the name is taken by something else that Deskbridge knows of people, it stands under `zd.field.`.
    let place = |key: &String| {
        let aside = format!("{prefix}field.{key}");
        if here[&aside].is_null() { format!("{prefix}{key}") } else { aside }
    };
    let theirs = there.as_object().into_iter().flatten().map(|(key, _)| place(key));
    let ours = here.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    let own = |key: &String| OWN.iter().any(|(own, _)| own == key) || key == "zd.email_invalid";
    let known = |key: &String| ORGANIZATION.contains(&key.as_str());
    for key in theirs.chain(ours).filter(|key| !own(key) && !known(key)).collect::<BTreeSet<_>>() {
        let bare = key.strip_prefix(prefix).map(|key| key.strip_prefix("field.").unwrap_or(key));
        let there = bare.map_or(Value::Null, |key| there[key].clone());
        check(&key, &here[&key], there);
    }
}

/// Fields of organizations that are no custom ones.
const ORGANIZATION: [&str; 6] =
    ["zd.tags", "zd.notes", "zd.details", "zd.group_id", "zd.shared_tickets", "zd.shared_comments"];

/// Checks that agents are agents, and no people.
pub fn check_agents(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    for (user, true_user) in truth.users.iter().filter(|(_, user)| user["role"] != "end-user") {
        let record = format!("agent {user}");
        if ours.links.get(user).is_some_and(|link| link["status"] == "active") {
            findings.add(&record, "person", ours.person(user), "an agent, and so no person");
        }
        let agent = ours.tables.agents.iter().find(|agent| id(&agent["record_id"]) == *user);
        match agent {
            Some(agent) => {
                findings.check(&record, "name", &agent["name"], &true_user["name"]);
                findings.check(&record, "role", &agent["role"], &true_user["role"]);
                findings.check(&record, "active", &agent["active"], &true_user["active"]);
            }
            None if true_user["active"] == true => findings.add(&record, "row", Value::Null, "an agent"),
            None => {}
        }
    }
}

/// Checks organizations.
pub fn check_organizations(truth: &Truth, ours: &Ours, findings: &mut Findings) {
    for (organization, there) in &truth.organizations {
        let record = format!("organization {organization}");
        let found = ours.tables.organizations.iter().find(|here| id(&here["record_id"]) == *organization);
        let Some(here) = found else {
            if there["deleted_at"].is_null() {
                findings.add(&record, "row", Value::Null, "an organization");
            }
            continue;
        };
        let is_deleted = |value: &Value| json!(!value.is_null());
        findings.check(&record, "deleted", &is_deleted(&here["deleted_at"]), &is_deleted(&there["deleted_at"]));
        findings.check(&record, "name", &here["name"], &there["name"]);
        if !there["deleted_at"].is_null() {
            continue;
        }
        findings.check(&record, "external id", &here["external_id"], &there["external_id"]);
        findings.check(&record, "domains", &json!(sorted(&here["domains"])), &json!(sorted(&there["domain_names"])));
        for (field, name) in [("zd.notes", "notes"), ("zd.details", "details"), ("zd.shared_tickets", "shared_tickets")]
        {
            findings.check(&record, field, &here["fields"][field], &there[name]);
        }
        findings.check(&record, "zd.tags", &here["fields"]["zd.tags"], &json!(sorted(&there["tags"])));
        findings.check(&record, "zd.group_id", &here["fields"]["zd.group_id"], &json!(id(&there["group_id"])));
        custom("zd.", &here["fields"], &there["fields"], &mut |field, ours, theirs| {
            findings.check(&record, field, ours, &theirs);
        });
    }
    for here in &ours.tables.organizations {
        if !truth.organizations.contains_key(&id(&here["record_id"])) {
            findings.add(format!("organization {}", id(&here["record_id"])), "row", here["name"].clone(), Value::Null);
        }
    }
}
