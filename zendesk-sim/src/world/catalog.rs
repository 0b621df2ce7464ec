//! What an account is furnished with: custom fields, groups, statuses, forms and the brand.
use crate::time::Stamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A choice of a drop-down.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Its id.
    pub id: i64,
    /// What people read.
    pub name: String,
    /// What people read, before translation.
    pub raw_name: String,
    /// What records hold.
    pub value: String,
    /// Whether it is chosen by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

/// Whose fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldsOf {
    /// Fields of users.
    Users,
    /// Fields of organizations.
    Organizations,
    /// Fields of tickets.
    Tickets,
}

/// A field, custom or (`removable` false) of every account.
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// Its id.
    pub id: i64,
    /// The key records use (users and organizations).
    pub key: String,
    /// What people read.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// text, checkbox, date, …
    pub kind: &'static str,
    /// Its pattern.
    pub regexp: Option<Cow<'static, str>>,
    /// A checkbox's tag.
    pub tag: Option<Cow<'static, str>>,
    /// A drop-down's choices.
    pub choices: Vec<Choice>,
    /// What a look-up points at, and how its choices are narrowed.
    pub relationship: Option<(String, Value)>,
    /// Where people see it.
    pub position: i64,
    /// What only fields of tickets have.
    pub portal: Portal,
    /// false for fields every account has.
    pub removable: bool,
    /// false once switched off.
    pub active: bool,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// How a field of tickets is shown and asked for.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct Portal {
    pub required: bool,
    pub collapsed_for_agents: bool,
    pub title: Option<String>,
    pub visible: bool,
    pub editable: bool,
    pub required_in_portal: bool,
    pub agent_description: Option<String>,
}

/// A group of agents.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether everybody may see it.
    pub is_public: bool,
    /// Whether it is gone.
    pub deleted: bool,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// Everything an account is furnished with.
pub struct Catalog {
    /// Custom fields of users.
    pub user_fields: Vec<FieldDef>,
    /// Custom fields of organizations.
    pub organization_fields: Vec<FieldDef>,
    /// Fields of tickets.
    pub ticket_fields: Vec<FieldDef>,
    /// Groups, the deleted included.
    pub groups: Vec<Group>,
    /// The brand.
    pub brand_id: i64,
    /// The ticket form.
    pub form_id: i64,
    /// Custom statuses: id, category, label, whether it is the category's default.
    pub statuses: Vec<(i64, &'static str, &'static str, bool)>,
    /// When it was all made.
    pub made_at: Stamp,
}

type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const USER_FIELDS: &[Row] = &[
    ("tier", "Tier", "dropdown", &[("Bronze", "tier_bronze"), ("Silver", "tier_silver"), ("Gold", "tier_gold")]),
    ("newsletter", "Newsletter", "checkbox", &[]),
    ("birthday", "Birthday", "date", &[]),
    ("lifetime_value", "Lifetime value", "decimal", &[]),
    ("orders_count", "Orders", "integer", &[]),
    ("interests", "Interests", "multiselect", &[("Bikes", "bikes"), ("Tents", "tents"), ("Boats", "boats")]),
    ("loyalty_number", "Loyalty number", "regexp", &[]),
    ("nickname", "Nickname", "text", &[]),
    ("delivery_notes", "Delivery notes", "textarea", &[]),
];

const ORGANIZATION_FIELDS: &[Row] = &[
    ("industry", "Industry", "dropdown", &[("Retail", "retail"), ("Health", "health"), ("Energy", "energy")]),
    ("seats", "Seats", "integer", &[]),
    ("renewal", "Renewal date", "date", &[]),
    ("key_account", "Key account", "checkbox", &[]),
    ("account_manager", "Account manager", "text", &[]),
];

const TICKET_FIELDS: &[Row] = &[
    ("subject", "Subject", "subject", &[]),
    ("description", "Description", "description", &[]),
    ("status", "Status", "status", &[]),
    ("type", "Type", "tickettype", &[]),
    ("priority", "Priority", "priority", &[]),
    ("group", "Group", "group", &[]),
    ("assignee", "Assignee", "assignee", &[]),
    ("custom_status", "Ticket status", "custom_status", &[]),
    ("product", "Product", "tagger", &[("Road bike", "road_bike"), ("Tent", "tent"), ("Kayak", "kayak")]),
    ("order_number", "Order number", "text", &[]),
    ("refund", "Refund asked", "checkbox", &[]),
    ("amount", "Amount", "decimal", &[]),
    ("delivery_date", "Delivery date", "date", &[]),
    ("pieces", "Pieces", "integer", &[]),
    ("causes", "Causes", "multiselect", &[("Late", "cause_late"), ("Broken", "cause_broken")]),
    ("serial", "Serial number", "regexp", &[]),
];

/// How many of the ticket fields every account has.
const SYSTEM_TICKET_FIELDS: usize = 8;

impl Catalog {
    /// The furniture of a new account; ids follow `base`.
    pub fn new(base: i64, made_at: Stamp) -> Self {
        Self {
            user_fields: defs(USER_FIELDS, base + 1_000, 0, made_at),
            organization_fields: defs(ORGANIZATION_FIELDS, base + 3_000, 0, made_at),
            ticket_fields: defs(TICKET_FIELDS, base + 5_000, SYSTEM_TICKET_FIELDS, made_at),
            groups: [(7_001, "Support"), (7_013, "Escalations"), (7_027, "Kundendienst"), (7_039, "Atendimento")]
                .map(|(id, name)| Group::new(base + id, name, made_at))
                .to_vec(),
            brand_id: base + 8_003,
            form_id: base + 8_017,
            statuses: vec![
                (base + 9_001, "new", "New", true),
                (base + 9_011, "open", "Open", true),
                (base + 9_021, "pending", "Pending", true),
                (base + 9_031, "hold", "On-hold", true),
                (base + 9_041, "solved", "Solved", true),
                (base + 9_051, "open", "Escalated", false),
                (base + 9_061, "pending", "Waiting for parts", false),
            ],
            made_at,
        }
    }

    /// The default custom status of a plain status.
    pub fn default_status(&self, category: &str) -> i64 {
        let category = if category == "closed" { "solved" } else { category };
        let found = self.statuses.iter().find(|row| row.1 == category && row.3);
        found.map_or(self.statuses[0].0, |row| row.0)
    }

    /// The category of a custom status.
    pub fn category(&self, id: i64) -> Option<&'static str> {
        self.statuses.iter().find(|row| row.0 == id).map(|row| row.1)
    }

    /// The fields of one sort of record.
    pub fn fields(&self, of: FieldsOf) -> &[FieldDef] {
        match of {
            FieldsOf::Users => &self.user_fields,
            FieldsOf::Organizations => &self.organization_fields,
            FieldsOf::Tickets => &self.ticket_fields,
        }
    }

    /// The same, to change them.
    pub fn fields_mut(&mut self, of: FieldsOf) -> &mut Vec<FieldDef> {
        match of {
            FieldsOf::Users => &mut self.user_fields,
            FieldsOf::Organizations => &mut self.organization_fields,
            FieldsOf::Tickets => &mut self.ticket_fields,
        }
    }

    /// A group that is there.
    pub fn group(&self, id: i64) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id && !group.deleted)
    }

    /// The ticket field of an id.
    pub fn ticket_field(&self, id: i64) -> Option<&FieldDef> {
        self.ticket_fields.iter().find(|def| def.id == id && def.removable)
    }

    /// The custom ticket field of a key.
    pub fn ticket_field_by_key(&self, key: &str) -> Option<&FieldDef> {
        self.ticket_fields.iter().find(|def| def.key == key && def.removable)
    }
}

impl Group {
    /// A group of which only the name is known.
    pub fn new(id: i64, name: &str, now: Stamp) -> Self {
        let (description, name) = (String::new(), name.to_owned());
        Self { id, name, description, is_public: true, deleted: false, created_at: now, updated_at: now }
    }
}

impl FieldsOf {
    /// The path and wrapper of lists.
    pub fn many(self) -> &'static str {
        match self {
            Self::Users => "user_fields",
            Self::Organizations => "organization_fields",
            Self::Tickets => "ticket_fields",
        }
    }

    /// The wrapper of one.
    pub fn one(self) -> &'static str {
        self.many().trim_end_matches('s')
    }
}

fn defs(rows: &[Row], base: i64, system: usize, made_at: Stamp) -> Vec<FieldDef> {
    let make = |(place, (key, title, kind, choices)): (usize, &Row)| {
        let id = base + 37 * (place as i64 + 1);
        let description = if system > 0 { (*title).to_owned() } else { String::new() };
        FieldDef {
            key: (*key).to_owned(),
            description,
            regexp: (*kind == "regexp").then_some("\\A[A-Z]{2}[0-9]{4,10}\\z".into()),
            tag: (*key == "newsletter").then_some("newsletter".into()),
            choices: (1..).zip(*choices).map(|(n, (name, value))| Choice::new(id + n, name, value)).collect(),
            portal: Portal { visible: true, editable: true, ..Portal::default() },
            removable: place >= system,
            ..FieldDef::new(id, kind, title, place as i64, made_at)
        }
    };
    rows.iter().enumerate().map(make).collect()
}

impl Choice {
    /// A choice that is not chosen by itself.
    pub fn new(id: i64, name: &str, value: &str) -> Self {
        Self { id, name: name.into(), raw_name: name.into(), value: value.into(), default: None }
    }
}

impl FieldDef {
    /// A field of which only kind, title and place are known.
    pub fn new(id: i64, kind: &'static str, title: &str, position: i64, now: Stamp) -> Self {
        Self {
            id,
            key: String::new(),
            title: title.to_owned(),
            description: String::new(),
            kind,
            regexp: None,
            tag: None,
            choices: Vec::new(),
            relationship: None,
            position,
            portal: Portal::default(),
            removable: true,
            active: true,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether records hold one or several of its choices.
    pub fn has_choices(&self) -> bool {
        matches!(self.kind, "dropdown" | "tagger" | "multiselect")
    }

    /// The field as Zendesk writes it.
    pub fn as_rest(&self, host: &str, of: FieldsOf) -> Value {
        let url = format!("{host}/api/v2/{}/{}.json", of.many(), self.id);
        let mut value = json!({"url": url, "id": self.id, "type": self.kind, "title": self.title,
            "raw_title": self.title, "description": self.description, "raw_description": self.description,
            "position": self.position, "active": self.active, "regexp_for_validation": self.regexp,
            "created_at": self.created_at, "updated_at": self.updated_at});
        if of == FieldsOf::Tickets {
            self.add_portal(&mut value);
        } else {
            value["key"] = self.key.as_str().into();
            value["system"] = false.into();
        }
        if self.tag.is_some() || of == FieldsOf::Tickets {
            value["tag"] = json!(self.tag);
        }
        if !self.choices.is_empty() || (self.has_choices() && self.removable) {
            value["custom_field_options"] = json!(self.choices);
        }
        if let Some((target, filter)) = &self.relationship {
            value["relationship_target_type"] = target.as_str().into();
            value["relationship_filter"] = filter.clone();
        }
        value
    }

    /// What only a field of tickets says.
    fn add_portal(&self, value: &mut Value) {
        let portal = &self.portal;
        let title = portal.title.as_ref().unwrap_or(&self.title);
        for (key, told) in [
            ("required", portal.required.into()),
            ("collapsed_for_agents", portal.collapsed_for_agents.into()),
            ("title_in_portal", title.as_str().into()),
            ("raw_title_in_portal", title.as_str().into()),
            ("visible_in_portal", portal.visible.into()),
            ("editable_in_portal", portal.editable.into()),
            ("required_in_portal", portal.required_in_portal.into()),
            ("removable", self.removable.into()),
            ("key", Value::Null),
            ("agent_description", json!(portal.agent_description)),
        ] {
            value[key] = told;
        }
    }
}
