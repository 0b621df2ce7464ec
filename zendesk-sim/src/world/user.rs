//! A user of the account and the ways Zendesk writes one.
use super::catalog::FieldDef;
use crate::time::Stamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A customer.
    EndUser,
    /// Someone who answers tickets.
    Agent,
    /// Someone who may do everything.
    Admin,
}

impl Role {
    /// The role by Zendesk's word for it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "end-user" => Some(Self::EndUser),
            "agent" => Some(Self::Agent),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// Zendesk's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::EndUser => "end-user",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

/// An address, number or account that finds a user.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub id: i64,
    /// `email`, `phone_number`, …
    pub kind: Cow<'static, str>,
    /// The address or number.
    pub value: String,
    /// Whether the user showed that it is theirs.
    pub verified: bool,
    /// Whether it is the first of its kind.
    pub primary: bool,
    /// When it was added.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// A user's place in an organization.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Its id.
    pub id: i64,
    /// Where.
    pub organization_id: i64,
    /// When it began.
    pub created_at: Stamp,
}

/// A user, alive or deleted.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: i64,
    /// Its place in the order of changes.
    pub seq: u64,
    /// Whatever stands for a name.
    pub name: String,
    /// The primary address; kept after a soft deletion but no longer shown.
    pub email: Option<String>,
    /// The phone as written.
    pub phone: Option<String>,
    /// false: a direct line, and so an identity; true: shared, and so none.
    pub shared_phone: Option<bool>,
    /// What the user may do.
    pub role: Role,
    /// The customer's own id for the user.
    pub external_id: Option<String>,
    /// The name customers see.
    pub alias: Option<String>,
    /// What stands under an agent's comments.
    pub signature: Option<String>,
    /// Free text.
    pub details: Option<String>,
    /// Free text.
    pub notes: Option<String>,
    /// BCP-47.
    pub locale: Cow<'static, str>,
    /// A Rails name or an IANA name.
    pub time_zone: Cow<'static, str>,
    /// The default organization.
    pub organization_id: Option<i64>,
    /// Tags.
    pub tags: Vec<String>,
    /// Custom fields that have a value, by key.
    pub fields: BTreeMap<String, Value>,
    /// When the user was made.
    pub created_at: Stamp,
    /// When the user last changed.
    pub updated_at: Stamp,
    /// false once deleted or merged away.
    pub active: bool,
    /// Whether nothing but the id is left.
    pub permanently_deleted: bool,
    /// Who the user became.
    pub merged_into: Option<i64>,
    /// Whether the user may not sign in or write.
    pub suspended: bool,
    /// Whether another account shares the user with this one: then it is not changed here.
    pub shared: bool,
    /// Whether any address was verified.
    pub verified: bool,
    /// Last sign-in.
    pub last_login_at: Option<Stamp>,
    /// An agent's first group.
    pub default_group_id: Option<i64>,
    /// Whether an agent may only write notes.
    pub only_private_comments: bool,
    /// Whether there is a picture.
    pub has_photo: bool,
    /// Addresses and numbers.
    pub identities: Vec<Identity>,
    /// Organizations.
    pub memberships: Vec<Membership>,
}

/// Rails zone names and what they are in IANA's words.
pub const ZONES: &[(&str, &str)] = &[
    ("Eastern Time (US & Canada)", "America/New_York"),
    ("Pacific Time (US & Canada)", "America/Los_Angeles"),
    ("London", "Europe/London"),
    ("Paris", "Europe/Paris"),
    ("Berlin", "Europe/Berlin"),
    ("Madrid", "Europe/Madrid"),
    ("Brasilia", "America/Sao_Paulo"),
    ("Tokyo", "Asia/Tokyo"),
    ("Beijing", "Asia/Shanghai"),
    ("Seoul", "Asia/Seoul"),
    ("Moscow", "Europe/Moscow"),
    ("Kyiv", "Europe/Kiev"),
    ("Riyadh", "Asia/Riyadh"),
    ("Mumbai", "Asia/Kolkata"),
];

/// The id of the role all admins have.
pub const ADMIN_ROLE: i64 = 360_004_040_001;

/// Locales an account may use, with Zendesk's number for each.
pub const LOCALES: &[(&str, i64)] = &[
    ("en-US", 1),
    ("en-GB", 1176),
    ("pt-BR", 19),
    ("es", 2),
    ("fr", 16),
    ("de", 8),
    ("ja", 67),
    ("zh-CN", 10),
    ("ko", 69),
    ("ru", 27),
    ("uk", 1173),
    ("ar", 66),
];

/// The IANA name of a zone name of either kind.
pub fn iana(zone: &str) -> &str {
    ZONES.iter().find(|(rails, _)| *rails == zone).map_or(zone, |(_, iana)| iana)
}

/// Zendesk's number of a locale.
pub fn locale_id(locale: &str) -> i64 {
    LOCALES.iter().find(|(name, _)| *name == locale).map_or(1, |(_, id)| *id)
}

/// Every defined custom field with its value or null, as one JSON object.
pub struct FieldMap<'a> {
    /// The fields that exist.
    pub defs: &'a [FieldDef],
    /// The values that are set.
    pub values: &'a BTreeMap<String, Value>,
}

impl Serialize for FieldMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.defs.len()))?;
        for def in self.defs {
            map.serialize_entry(&def.key, &self.values.get(&def.key))?;
        }
        map.end()
    }
}

/// A user's picture.
#[derive(Serialize)]
pub struct PhotoView {
    url: String,
    id: i64,
    file_name: String,
    content_url: String,
    mapped_content_url: String,
    content_type: &'static str,
    size: u32,
    width: u32,
    height: u32,
    inline: bool,
    deleted: bool,
    thumbnails: [(); 0],
}

/// A user as REST and the exports write one.
#[derive(Serialize)]
pub struct UserView<'a> {
    id: i64,
    url: String,
    name: &'a str,
    email: Option<&'a str>,
    created_at: Stamp,
    updated_at: Stamp,
    time_zone: &'a str,
    iana_time_zone: &'a str,
    phone: Option<&'a str>,
    shared_phone_number: Option<bool>,
    photo: Option<PhotoView>,
    locale_id: i64,
    locale: &'a str,
    organization_id: Option<i64>,
    role: Role,
    verified: bool,
    external_id: Option<&'a str>,
    tags: &'a [String],
    alias: Option<&'a str>,
    active: bool,
    shared: bool,
    shared_agent: bool,
    last_login_at: Option<Stamp>,
    two_factor_auth_enabled: Option<bool>,
    signature: Option<&'a str>,
    details: Option<&'a str>,
    notes: Option<&'a str>,
    role_type: Option<i64>,
    custom_role_id: Option<i64>,
    moderator: bool,
    ticket_restriction: Option<&'static str>,
    only_private_comments: bool,
    restricted_agent: bool,
    suspended: bool,
    default_group_id: Option<i64>,
    report_csv: bool,
    user_fields: FieldMap<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permanently_deleted: Option<bool>,
}

impl User {
    /// The user as Zendesk writes one; an export says more of the inactive.
    pub fn view<'a>(&'a self, host: &str, defs: &'a [FieldDef], export: bool) -> UserView<'a> {
        let (customer, admin) = (self.role == Role::EndUser, self.role == Role::Admin);
        // Every other agent sees the tickets of their groups only.
        let restricted = self.role == Role::Agent && self.id % 2 == 1;
        UserView {
            id: self.id,
            url: format!("{host}/api/v2/users/{}.json", self.id),
            name: &self.name,
            email: self.email.as_deref().filter(|_| self.active),
            created_at: self.created_at,
            updated_at: self.updated_at,
            time_zone: &self.time_zone,
            iana_time_zone: iana(&self.time_zone),
            phone: self.phone.as_deref(),
            shared_phone_number: self.shared_phone,
            photo: self.has_photo.then(|| self.photo(host)),
            locale_id: locale_id(&self.locale),
            locale: &self.locale,
            organization_id: self.organization_id,
            role: self.role,
            verified: self.verified,
            external_id: self.external_id.as_deref(),
            tags: &self.tags,
            alias: self.alias.as_deref(),
            active: self.active,
            shared: self.shared,
            shared_agent: false,
            last_login_at: self.last_login_at,
            two_factor_auth_enabled: customer.then_some(false),
            signature: self.signature.as_deref(),
            details: self.details.as_deref(),
            notes: self.notes.as_deref(),
            role_type: admin.then_some(4),
            custom_role_id: admin.then_some(ADMIN_ROLE),
            moderator: admin,
            ticket_restriction: match self.role {
                Role::EndUser => Some("requested"),
                _ => restricted.then_some("groups"),
            },
            only_private_comments: self.only_private_comments,
            restricted_agent: customer || restricted,
            suspended: self.suspended,
            default_group_id: self.default_group_id,
            report_csv: admin,
            user_fields: FieldMap { defs, values: &self.fields },
            permanently_deleted: (export && !self.active).then_some(self.permanently_deleted),
        }
    }

    fn photo(&self, host: &str) -> PhotoView {
        let id = self.id + 7;
        let file_name = format!("profile_image_{}.png", self.id);
        let content_url = format!("{host}/system/photos/{id}/{file_name}");
        PhotoView {
            url: format!("{host}/api/v2/attachments/{id}.json"),
            id,
            file_name,
            mapped_content_url: content_url.clone(),
            content_url,
            content_type: "image/png",
            size: 10_240,
            width: 80,
            height: 80,
            inline: false,
            deleted: false,
            thumbnails: [],
        }
    }
}
