//! Names of target fields: what an activation may write, and why the rest is left alone.

use super::place::{Place, ReadError};
use crate::model::activation::Target;

/// Fields of a user that may be written (Z§3).
const USERS: [&str; 9] = ["name", "email", "phone", "alias", "details", "notes", "external_id", "locale", "time_zone"];

/// Fields of an organization that may be written (Z§6).
const ORGANIZATIONS: [&str; 4] = ["name", "external_id", "details", "notes"];

/// Fields of a contact of Zendesk Sell that may be written (Z§9).
const SELL_CONTACTS: [&str; 22] = [
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
    "customer_status",
    "prospect_status",
    "address.line1",
    "address.city",
    "address.postal_code",
    "address.state",
    "address.country",
    "name",
];

/// Fields that exist and are never written, and why.
const REFUSED: [(&[&str], &str); 7] = [
    (&["tags"], "tags are given by [[tag]], which adds and removes its own and leaves others alone"),
    (
        &["organization_id", "organization", "organization_ids"],
        "writing it would end the user's other memberships; memberships = true adds and removes its own",
    ),
    (
        &["role", "custom_role_id", "ticket_restriction", "moderator", "only_private_comments", "default_group_id"],
        "it decides what a user may do, which activations never change",
    ),
    (&["verified", "skip_verify_email"], "whether an address is verified is for its owner to say"),
    (&["suspended"], "who is suspended is decided in Zendesk alone"),
    (
        &["domain_names", "group_id", "shared_tickets", "shared_comments"],
        "it decides who belongs to an organization or sees its tickets, which activations never change",
    ),
    (
        &["id", "url", "active", "created_at", "updated_at", "shared", "last_login_at", "owner_id", "creator_id"],
        "Zendesk keeps it itself",
    ),
];

/// The fields of a target that may be written, without custom fields.
pub fn system_fields(target: Target) -> &'static [&'static str] {
    match target {
        Target::Users => &USERS,
        Target::Organizations => &ORGANIZATIONS,
        Target::SellContacts => &SELL_CONTACTS,
    }
}

/// The target field that is named here.
pub fn target_field(place: &Place<'_>, target: Target) -> Result<String, ReadError> {
    let name = place.text()?;
    if system_fields(target).contains(&name) {
        return Ok(name.to_owned());
    }
    if let Some((_, reason)) = REFUSED.iter().find(|(names, _)| names.contains(&name)) {
        return Err(place.problem(format!("{name} is never written: {reason}")));
    }
    custom_field(place, target)
}

/// The custom field that is named here, with its prefix.
pub fn custom_field(place: &Place<'_>, target: Target) -> Result<String, ReadError> {
    let name = place.text()?;
    let own = target.custom_prefix();
    let expected = || format!("{} or a custom field such as \"{own}.tier\"", system_fields(target).join(", "));
    let Some((prefix, key)) = name.split_once('.') else { return Err(place.wrong(&expected())) };
    if prefix != own {
        let others = [Target::Users, Target::Organizations, Target::SellContacts];
        return Err(match others.iter().find(|other| other.custom_prefix() == prefix) {
            Some(_) => place.problem(format!(
                "{prefix} are not fields of {}; custom fields of these are written {own}.KEY",
                target.as_str()
            )),
            None => place.wrong(&expected()),
        });
    }
    // Sell knows its custom fields by their names, which may hold anything.
    let fits = match target {
        Target::SellContacts => !key.chars().any(char::is_control),
        _ => key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !key.chars().all(|c| c.is_ascii_digit()),
    };
    match fits && !key.is_empty() && key.len() <= 255 {
        true => Ok(name.to_owned()),
        false => Err(place.wrong(&format!("{own}. and the field's key: letters, digits and _, not digits alone"))),
    }
}

/// A tag that Zendesk takes: it would split one with spaces into several, and keeps all in small letters.
pub fn tag(place: &Place<'_>) -> Result<String, ReadError> {
    let tag = place.text()?;
    let fits = |c: char| c.is_alphanumeric() && !c.is_uppercase() || "-_:/".contains(c);
    match !tag.is_empty() && tag.chars().count() <= 255 && tag.chars().all(fits) {
        true => Ok(tag.to_owned()),
        false => {
            Err(place.wrong("a tag of small letters, digits, -, _, : and /, without spaces, 255 characters at most"))
        }
    }
}
