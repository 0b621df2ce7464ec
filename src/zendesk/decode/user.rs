//! Users: customers, agents, the deleted, and which of two merged users lost.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::context::{DecodeContext, NO_ID, NO_OBJECT, refuse};
use super::field::person_key;
use super::json::{Json, members, parts, view};
use super::lenient::{Lenient, MAX_KEY, Said};
use crate::model::batch::Refused;
use crate::model::email::Email;
use crate::model::field::{Given, PerField, SystemField};
use crate::model::person::{Identity, IdentityKind, NameGiven, PersonRecord, RecordStatus};
use crate::model::phone::Phone;
use crate::model::stream::Stream;
use crate::rules::blocked::is_blocked;
use crate::rules::name::{MAX_NAME_CHARS, is_too_long};

/// The role of a customer (R36).
pub(super) const CUSTOMER: &str = "end-user";

/// The name that Zendesk leaves of a user who is gone for good.
const ERASED_NAME: &str = "Permanently Deleted User";

/// The field that keeps what stood in the place of an address.
const EMAIL_INVALID: &str = "zd.email_invalid";

parts! {
    /// A user. What is left alone says nothing about a customer, or differs by the way the user was read.
    Parts {
        id "id", name "name", email "email", phone "phone", shared_phone "shared_phone_number", locale "locale",
        time_zone "time_zone", iana_time_zone "iana_time_zone", external_id "external_id", role "role", active "active",
        suspended "suspended", verified "verified", permanently_deleted "permanently_deleted", tags "tags", notes "notes",
        details "details", alias "alias", organization_id "organization_id", user_fields "user_fields",
        created_at "created_at", updated_at "updated_at",
    }
    left "url" | "photo" | "shared" | "shared_agent" | "moderator" | "locale_id" | "last_login_at" | "signature"
        | "two_factor_auth_enabled" | "role_type" | "custom_role_id" | "ticket_restriction" | "only_private_comments"
        | "restricted_agent" | "default_group_id" | "report_csv" | "chat_only" | "abilities" | "authenticity_token"
        | "agent_brand_ids" | "remote_photo_url" | "result_type" | "identities" | "organization" | "open_ticket_count"
}

/// A user, the same record whichever way it came (exports, `show_many`, the answer to a write).
///
/// Role `end-user` is a customer, any other an agent (R36). What is deleted, erased or an agent keeps no fields.
pub fn user(raw: &RawValue, ctx: &DecodeContext<'_>) -> Result<PersonRecord, Refused> {
    let stream = Stream::Users.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let (mut record, mut lenient) = head(&parts).ok_or_else(|| refuse(stream, "", NO_ID, raw))?;
    match record.status {
        RecordStatus::Active | RecordStatus::Suspended => customer(&mut record, parts, ctx, &mut lenient),
        RecordStatus::Agent => record.name = name(&parts, &mut lenient).map_or(NameGiven::Absent, NameGiven::Whole),
        RecordStatus::Deleted | RecordStatus::Erased | RecordStatus::Merged => {}
    }
    record.problems = lenient.problems;
    Ok(record)
}

/// A row of `deleted_users`: always deleted, and the same record as the export's inactive user.
pub fn deleted_user(raw: &RawValue) -> Result<PersonRecord, Refused> {
    let stream = Stream::DeletedUsers.as_str();
    let parts = Parts::read(raw.get()).ok_or_else(|| refuse(stream, "", NO_OBJECT, raw))?;
    let (mut record, lenient) = head(&parts).ok_or_else(|| refuse(stream, "", NO_ID, raw))?;
    if record.status != RecordStatus::Erased {
        record.status = if is_erased(&parts) { RecordStatus::Erased } else { RecordStatus::Deleted };
    }
    record.problems = lenient.problems;
    Ok(record)
}

/// Which of two users that were merged stays, and which went into it: the inactive one lost (R35). None while both or
/// neither are inactive.
pub fn merge_direction(a: &PersonRecord, b: &PersonRecord) -> Option<(String, String)> {
    let gone = |record: &PersonRecord| record.status.is_gone() || record.status == RecordStatus::Merged;
    match (gone(a), gone(b)) {
        _ if a.record_id == b.record_id => None,
        (false, true) => Some((a.record_id.clone(), b.record_id.clone())),
        (true, false) => Some((b.record_id.clone(), a.record_id.clone())),
        _ => None,
    }
}

/// An empty record: id, status, role and times.
pub(super) fn blank(record_id: String, status: RecordStatus, role: String) -> PersonRecord {
    PersonRecord {
        record_id,
        status,
        role,
        name: NameGiven::Absent,
        system: PerField::default(),
        fields: Map::new(),
        identities: Vec::new(),
        organization_record_id: None,
        created_at: None,
        updated_at: None,
        unknown: None,
        problems: Vec::new(),
        consents: Vec::new(),
        complete: true,
        sparse: false,
    }
}

fn head(parts: &Parts<'_>) -> Option<(PersonRecord, Lenient)> {
    let id = Lenient::default().id("id", parts.id).value()?;
    let mut lenient = Lenient::default();
    let role = lenient.text("role", parts.role).value().unwrap_or_default();
    let status = status(parts, &role, &mut lenient);
    let mut record = blank(id, status, role);
    record.created_at = lenient.time("created_at", parts.created_at).value();
    record.updated_at = lenient.time("updated_at", parts.updated_at).value();
    Some((record, lenient))
}

fn status(parts: &Parts<'_>, role: &str, lenient: &mut Lenient) -> RecordStatus {
    let active = lenient.truth("active", parts.active);
    let erased = match lenient.truth("permanently_deleted", parts.permanently_deleted) {
        Said::Is(erased) => erased,
        Said::Null | Said::Nothing => active == Said::Is(false) && is_erased(parts),
    };
    let suspended = lenient.truth("suspended", parts.suspended);
    match active {
        _ if erased => RecordStatus::Erased,
        Said::Is(false) => RecordStatus::Deleted,
        _ if role != CUSTOMER => RecordStatus::Agent,
        _ if suspended == Said::Is(true) => RecordStatus::Suspended,
        _ => RecordStatus::Active,
    }
}

/// What is left of an erased user. Asked of the inactive only: anybody may call themselves so.
fn is_erased(parts: &Parts<'_>) -> bool {
    let text = |raw: Option<&RawValue>| match raw.map(view) {
        Some(Json::Text(text)) => text.into_owned(),
        _ => String::new(),
    };
    text(parts.name) == ERASED_NAME && text(parts.email).is_empty() && text(parts.phone).is_empty()
}

/// The name as it was written (N1), with an end.
fn name(parts: &Parts<'_>, lenient: &mut Lenient) -> Option<String> {
    let mut name = match lenient.text("name", parts.name) {
        Said::Nothing => return None,
        Said::Null => return Some(String::new()),
        Said::Is(name) => name,
    };
    if is_too_long(&name) {
        let end = name.char_indices().nth(MAX_NAME_CHARS).map_or(name.len(), |(end, _)| end);
        name.truncate(end);
        lenient.problem("name", "too long; cut");
    }
    Some(name)
}

fn customer(record: &mut PersonRecord, parts: Parts<'_>, ctx: &DecodeContext<'_>, lenient: &mut Lenient) {
    if let Some(name) = name(&parts, lenient) {
        record.fields.insert("zd.name".to_owned(), Value::String(name.clone()));
        record.name = NameGiven::Whole(name);
    }
    let verified = lenient.truth("verified", parts.verified);
    system(record, &parts, verified == Said::Is(true), ctx, lenient);
    fields(&mut record.fields, &parts, verified, lenient);
    let organization = lenient.id("organization_id", parts.organization_id);
    put(&mut record.fields, "zd.organization_id", organization.clone());
    record.organization_record_id = organization.value();
    if let Some(custom) = parts.user_fields {
        custom_fields("user_fields", custom, person_key, &mut record.fields, lenient);
    }
    record.unknown = lenient.unknown(parts.unknown);
}

fn fields(fields: &mut Map<String, Value>, parts: &Parts<'_>, verified: Said<bool>, lenient: &mut Lenient) {
    put(fields, "zd.role", lenient.text("role", parts.role));
    put(fields, "zd.suspended", lenient.truth("suspended", parts.suspended));
    put(fields, "zd.verified", verified);
    put(fields, "zd.tags", lenient.words("tags", parts.tags));
    put(fields, "zd.notes", lenient.text("notes", parts.notes));
    put(fields, "zd.details", lenient.text("details", parts.details));
    put(fields, "zd.alias", lenient.text("alias", parts.alias));
}

/// Puts what a part says: a value, or `null` where it says that there is none.
pub(super) fn put<T: Into<Value>>(fields: &mut Map<String, Value>, key: &str, said: Said<T>) {
    let value = match said {
        Said::Nothing => return,
        Said::Null => Value::Null,
        Said::Is(value) => value.into(),
    };
    fields.insert(key.to_owned(), value);
}

/// Custom fields, typed as they came, each under the key that `key_of` makes.
pub(super) fn custom_fields(
    part: &str,
    raw: &RawValue,
    key_of: fn(&str) -> String,
    fields: &mut Map<String, Value>,
    lenient: &mut Lenient,
) {
    let object = members(raw.get(), |key, value| {
        let key: Cow<'_, str> = if key.contains('\0') { key.replace('\0', "").into() } else { key };
        if key.is_empty() || key.len() > MAX_KEY {
            lenient.problem(part, "a key is empty or too long; left out");
            return;
        }
        // The name of a field is the operator's, not the customer's.
        if let Some(value) = lenient.any(&key, value) {
            fields.insert(key_of(&key), value);
        }
    });
    if !object && !matches!(view(raw), Json::Null) {
        lenient.problem(part, "not an object; left out");
    }
}

fn system(
    record: &mut PersonRecord,
    parts: &Parts<'_>,
    verified: bool,
    ctx: &DecodeContext<'_>,
    lenient: &mut Lenient,
) {
    let external = external_id(parts, lenient);
    if let Given::Value(id) = &external {
        identify(record, IdentityKind::ExternalId, &id.trim().to_lowercase(), false, ctx);
    }
    record.system[SystemField::ExternalId] = external;
    email(record, lenient.text("email", parts.email), verified, ctx, lenient);
    phone(record, parts, ctx, lenient);
    record.system[SystemField::Locale] = lenient.text("locale", parts.locale).given();
    let iana = lenient.text("iana_time_zone", parts.iana_time_zone).given();
    record.system[SystemField::TimeZone] = match iana {
        Given::Value(_) => iana,
        Given::Absent | Given::Empty => lenient.text("time_zone", parts.time_zone).given(),
    };
}

/// A text; older imports have whole numbers.
fn external_id(parts: &Parts<'_>, lenient: &mut Lenient) -> Given {
    match parts.external_id.map(view) {
        Some(Json::Number(digits)) if digits.len() <= MAX_KEY => Given::Value(digits.to_owned()),
        _ => lenient.text("external_id", parts.external_id).given(),
    }
}

/// The address (I1). What is none is kept as a field, and the system field is left as it is.
pub(super) fn email(
    record: &mut PersonRecord,
    said: Said<String>,
    verified: bool,
    ctx: &DecodeContext<'_>,
    lenient: &mut Lenient,
) {
    let given = said.given();
    if let Given::Value(text) = &given {
        let Ok(address) = Email::parse(text) else {
            lenient.problem("email", "not an e-mail address; kept as the field zd.email_invalid");
            record.fields.insert(EMAIL_INVALID.to_owned(), Value::String(text.clone()));
            return;
        };
        identify(record, IdentityKind::Email, address.key(), verified, ctx);
        record.system[SystemField::Email] = Given::Value(address.as_written().to_owned());
    } else {
        record.system[SystemField::Email] = given;
    }
    if record.complete && record.system[SystemField::Email] != Given::Absent {
        record.fields.insert(EMAIL_INVALID.to_owned(), Value::Null);
    }
}

/// The phone number in E.164; with an extension or unreadable as it was written. A key only when it is known not to be
/// shared (I4).
fn phone(record: &mut PersonRecord, parts: &Parts<'_>, ctx: &DecodeContext<'_>, lenient: &mut Lenient) {
    let shared = lenient.truth("shared_phone_number", parts.shared_phone);
    let given = lenient.text("phone", parts.phone).given();
    let Given::Value(text) = given else {
        record.system[SystemField::Phone] = given;
        return;
    };
    let number = Phone::parse(&text, ctx.default_region).ok();
    if let Some(key) = number.as_ref().and_then(Phone::key).filter(|_| shared == Said::Is(false)) {
        identify(record, IdentityKind::Phone, key, false, ctx);
    }
    let dialled = number.filter(|number| number.extension().is_none());
    record.system[SystemField::Phone] = Given::Value(match dialled {
        Some(number) => number.e164().to_owned(),
        None => text.trim().to_owned(),
    });
}

/// Adds an identity if the source uses its kind (R34) and its value is not blocked (I3).
pub(super) fn identify(
    record: &mut PersonRecord,
    kind: IdentityKind,
    key: &str,
    verified: bool,
    ctx: &DecodeContext<'_>,
) {
    let used = ctx.settings.identifiers.contains(&kind);
    if used && key.len() <= 1024 && !is_blocked(kind.as_str(), key, ctx.subdomain, ctx.blocked) {
        record.identities.push(Identity { kind, value: key.to_owned(), verified });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{context, mutated, raw, settings};
    use super::*;
    use crate::model::record::digest;

    const JANE: &str = r#"{"id":6164039664282,"url":"https://x/users/1.json","name":"Jane  Doe","email":"Jane@Shop.Test",
        "created_at":"2023-09-18T23:28:11Z","updated_at":"2023-09-18T23:28:12Z","time_zone":"Eastern Time (US & Canada)",
        "iana_time_zone":"America/New_York","phone":"0401 234 567","shared_phone_number":false,"photo":null,"locale_id":1,
        "locale":"en-US","organization_id":77,"role":"end-user","verified":true,"external_id":"Ian1","tags":["b","a","b"],
        "alias":"","active":true,"suspended":false,"details":null,"notes":"vip","permanently_deleted":false,
        "user_fields":{"plan":"gold","seats":3,"score":1.5,"tags":"mine","empty":null,"list":["x"]},"brand_new":{"a":[1]}}"#;

    fn decode(text: &str) -> PersonRecord {
        let settings = settings();
        user(&raw(text), &context(&settings)).expect("a user")
    }

    /// The user with one part exchanged: later members win.
    fn check(part: &str, status: RecordStatus, problems: &[&str]) {
        let text = format!("{},{part}}}", JANE.strip_suffix('}').expect("an object"));
        let record = decode(&text);
        assert_eq!(record.status, status, "{part}");
        let found: Vec<&str> = record.problems.iter().map(|problem| problem.part.as_str()).collect();
        assert_eq!(found, problems, "{part}");
    }

    #[test]
    fn a_customer_with_everything() {
        let jane = decode(JANE);
        assert_eq!((jane.record_id.as_str(), jane.status), ("6164039664282", RecordStatus::Active));
        assert_eq!(jane.name, NameGiven::Whole("Jane  Doe".to_owned()));
        assert_eq!(jane.system[SystemField::Email], Given::Value("Jane@Shop.Test".to_owned()));
        assert_eq!(jane.system[SystemField::Phone], Given::Value("+61401234567".to_owned()));
        assert_eq!(jane.system[SystemField::TimeZone], Given::Value("America/New_York".to_owned()));
        assert_eq!(jane.system[SystemField::FirstName], Given::Absent);
        assert_eq!(jane.organization_record_id.as_deref(), Some("77"));
        let expected = json!({"zd.name": "Jane  Doe", "zd.tags": ["a", "b"], "zd.role": "end-user", "zd.suspended": false,
            "zd.verified": true, "zd.notes": "vip", "zd.details": null, "zd.alias": "", "zd.organization_id": "77",
            "zd.email_invalid": null, "zd.plan": "gold", "zd.seats": 3, "zd.score": 1.5, "zd.field.tags": "mine",
            "zd.empty": null, "zd.list": ["x"]});
        assert_eq!(Value::Object(jane.fields), expected);
        assert_eq!(jane.unknown, Some(json!({"brand_new": {"a": [1]}})));
        let identities: Vec<_> =
            jane.identities.iter().map(|found| (found.kind, found.value.as_str(), found.verified)).collect();
        let keys = [
            (IdentityKind::ExternalId, "ian1", false),
            (IdentityKind::Email, "jane@shop.test", true),
            (IdentityKind::Phone, "+61401234567", false),
        ];
        assert_eq!(identities, keys);
        assert!(jane.problems.is_empty() && jane.complete);
    }

    #[test]
    fn one_bad_part_costs_only_itself() {
        check("\"name\":7", RecordStatus::Active, &["name"]);
        check("\"updated_at\":\"tomorrow\"", RecordStatus::Active, &["updated_at"]);
        check("\"locale\":[1]", RecordStatus::Active, &["locale"]);
        check(&format!("\"organization_id\":{}", "9".repeat(2_000)), RecordStatus::Active, &["organization_id"]);
        check(&format!("\"name\":\"{}\"", "x".repeat(10_000_000)), RecordStatus::Active, &["name"]);
        check("\"notes\":\"a\\u0000b\"", RecordStatus::Active, &["notes"]);
        check("\"tags\":{\"a\":1}", RecordStatus::Active, &["tags"]);
        check("\"user_fields\":[]", RecordStatus::Active, &["user_fields"]);
        check("\"email\":\"[email protected]\"", RecordStatus::Active, &["email"]);
        check("\"phone\":\"CD(+48X666666644\"", RecordStatus::Active, &[]);
        check("\"suspended\":true", RecordStatus::Suspended, &[]);
        check("\"role\":\"admin\"", RecordStatus::Agent, &[]);
        check("\"role\":\"wizard\"", RecordStatus::Agent, &[]);
        check("\"active\":false", RecordStatus::Deleted, &[]);
        check("\"permanently_deleted\":true", RecordStatus::Erased, &[]);
        check("\"name\":\"Permanently Deleted User\"", RecordStatus::Active, &[]);
    }

    #[test]
    fn what_finds_nobody_stays_a_field() {
        let settings = settings();
        let blocked = ["Ian1".to_owned()];
        let ctx = DecodeContext { blocked: &blocked, ..context(&settings) };
        let text =
            JANE.replace("Jane@Shop.Test", "help@acme.zendesk.com").replace("\"shared_phone_number\":false", "\"x\":1");
        let record = user(&raw(&text), &ctx).expect("a user");
        assert!(record.identities.is_empty());
        assert_eq!(record.system[SystemField::Email], Given::Value("help@acme.zendesk.com".to_owned()));
        assert_eq!(record.system[SystemField::ExternalId], Given::Value("Ian1".to_owned()));
        let invalid = decode(&JANE.replace("Jane@Shop.Test", "not an address"));
        assert_eq!(invalid.system[SystemField::Email], Given::Absent);
        assert_eq!(invalid.fields["zd.email_invalid"], "not an address");
        let empty = decode(&JANE.replace("\"Jane@Shop.Test\"", "null"));
        assert_eq!(empty.system[SystemField::Email], Given::Empty);
    }

    #[test]
    fn the_same_user_by_every_way_has_one_digest() {
        let seen = |record: &PersonRecord| digest(record, 0);
        let shown = decode(&JANE.replace("\"permanently_deleted\":false,", "\"abilities\":{},"));
        assert_eq!(seen(&shown), seen(&decode(JANE)));
        let deleted = decode(&JANE.replace("\"active\":true", "\"active\":false"));
        let listed = deleted_user(&raw(&JANE.replace("\"permanently_deleted\":false,", ""))).expect("a user");
        assert_eq!(seen(&deleted), seen(&listed));
        assert!(deleted.fields.is_empty() && deleted.identities.is_empty() && deleted.name == NameGiven::Absent);
        let gone = r#"{"id":7,"role":"end-user","active":false,"name":"Permanently Deleted User","email":null}"#;
        assert_eq!(deleted_user(&raw(gone)).expect("a user").status, RecordStatus::Erased);
        assert_eq!(decode(gone).status, RecordStatus::Erased);
    }

    #[test]
    fn without_an_id_it_is_refused() {
        let settings = settings();
        for text in ["[]", "null", "{}", r#"{"id":0}"#, r#"{"id":"x","name":"Jane"}"#, r#"{"id":1e3}"#] {
            let refused = user(&raw(text), &context(&settings)).expect_err("no id");
            assert_eq!((refused.stream, refused.body), ("users", text.as_bytes().to_vec()), "{text}");
            assert!(!refused.reason.contains("Jane"));
        }
    }

    #[test]
    fn the_inactive_of_two_lost() {
        let (a, b) = (decode(JANE), decode(r#"{"id":2,"active":false,"role":"end-user"}"#));
        let expected = Some((a.record_id.clone(), "2".to_owned()));
        assert_eq!(merge_direction(&a, &b), expected);
        assert_eq!(merge_direction(&b, &a), expected);
        assert_eq!(merge_direction(&a, &a), None);
        assert_eq!(merge_direction(&b, &b), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in mutated(JANE)) {
            let settings = settings();
            if let Ok(record) = user(&raw(&text), &context(&settings)) {
                let written = serde_json::to_string(&record).expect("a record serialises");
                prop_assert!(!written.contains("\\u0000"));
            }
            let _ = deleted_user(&raw(&text));
        }
    }
}
