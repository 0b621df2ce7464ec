//! What a request says of a user, brought into the shape acts read; and who may say it.
use super::ask;
use crate::acts::users::UserPatch;
use crate::acts::{self, Refusal};
use crate::http::{Caller, Reply, Req};
use crate::world::World;
use crate::world::user::{LOCALES, Role};
use serde_json::{Value, json};

/// What a request may say of a user.
const PERMITTED: &[&str] = &[
    "name",
    "email",
    "phone",
    "shared_phone_number",
    "role",
    "external_id",
    "alias",
    "details",
    "notes",
    "locale",
    "locale_id",
    "time_zone",
    "organization_id",
    "organization",
    "organization_ids",
    "tags",
    "user_fields",
    "suspended",
    "verified",
    "identities",
    "default_group_id",
    "remote_photo_url",
    "photo",
    "only_private_comments",
    "moderator",
    "signature",
    "custom_role_id",
    "ticket_restriction",
    "agent_brand_ids",
    "skip_verify_email",
    "restricted_agent",
];

/// Zendesk names what it ignored in a header: keys of the user and custom fields that do not exist.
pub fn warn(world: &World, req: &Req, reply: Reply) -> Reply {
    let fields = req.body["user"]["user_fields"].as_object();
    let known = |key: &&String| world.catalog.user_fields.iter().any(|def| &&def.key == key);
    let unknown = fields.into_iter().flat_map(|map| map.keys()).filter(|key| !known(key));
    let unknown = unknown.map(|key| format!("user.user_fields.{key}")).collect();
    ask::warn(reply, req, "user", PERMITTED, unknown)
}

/// Texts may be given as numbers; tags are written small.
pub fn tidy(given: &mut Value, texts: &[&str]) {
    for key in texts {
        if let Value::Number(number) = &given[*key] {
            given[*key] = number.to_string().into();
        }
    }
    for key in ["tags", "additional_tags", "remove_tags"] {
        let listed = given[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words = listed.chain(given[key].as_str()).flat_map(|text| text.split([' ', ',']));
        let mut tags: Vec<String> = Vec::new();
        for tag in words.filter(|tag| !tag.is_empty()).map(str::to_lowercase) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        if given[key].is_array() || given[key].is_string() {
            given[key] = json!(tags);
        }
    }
}

impl World {
    /// Makes a user as a request asks.
    pub fn make_user(&mut self, caller: &Caller, given: &Value) -> Result<i64, Refusal> {
        let patch = user_patch(caller, given)?;
        self.create_user(caller.by(), caller.now, patch)
    }

    /// Changes a user as a request asks: agents change customers and themselves, and nobody one who is shared.
    pub fn change_user(&mut self, caller: &Caller, id: i64, given: &Value) -> Result<(), Refusal> {
        let patch = user_patch(caller, given)?;
        let user = self.users.get(&id).filter(|user| user.active).ok_or(Refusal::NotFound)?;
        let own = caller.user_id == id;
        if user.shared || (caller.role != Role::Admin && user.role != Role::EndUser && !own) {
            return Err(Refusal::Forbidden);
        }
        self.update_user(caller.by(), caller.now, id, patch)
    }
}

fn user_patch(caller: &Caller, given: &Value) -> Result<UserPatch, Refusal> {
    let mut given = if given.is_null() { json!({}) } else { given.clone() };
    tidy(&mut given, &["name", "external_id", "phone", "alias"]);
    if let Some(map) = given.as_object_mut() {
        // These two are for the admin door.
        map.remove("signs_in");
        map.remove("shared");
    }
    let locale = LOCALES.iter().find(|(_, id)| given["locale_id"].as_i64() == Some(*id));
    if let (true, Some((locale, _))) = (given["locale"].is_null(), locale) {
        given["locale"] = (*locale).into();
    }
    let raised = given["role"].as_str().is_some_and(|role| role != "end-user");
    if raised && caller.role != Role::Admin {
        return Err(Refusal::Forbidden);
    }
    acts::read(&given)
}
