//! What an account is furnished with: custom fields, groups, statuses, forms and the brand.
use crate::time::Stamp;
use serde::Serialize;
use serde_json::{Value, json};

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

/// A field, custom or (`removable` false) of every account.
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// Its id.
    pub id: i64,
    /// The key records use (users and organizations).
    pub key: String,
    /// What people read.
    pub title: String,
    /// text, checkbox, date, …
    pub kind: &'static str,
    /// Its pattern.
    pub regexp: Option<&'static str>,
    /// A checkbox's tag.
    pub tag: Option<&'static str>,
    /// A drop-down's choices.
    pub choices: Vec<Choice>,
    /// false for fields every account has.
    pub removable: bool,
    /// false once switched off.
    pub active: bool,
}

/// Everything an account is furnished with.
pub struct Catalog {
    /// Custom fields of users.
    pub user_fields: Vec<FieldDef>,
    /// Custom fields of organizations.
    pub organization_fields: Vec<FieldDef>,
    /// Fields of tickets.
    pub ticket_fields: Vec<FieldDef>,
    /// Group ids and names.
    pub groups: Vec<(i64, &'static str)>,
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
            user_fields: defs(USER_FIELDS, base + 1_000, 0),
            organization_fields: defs(ORGANIZATION_FIELDS, base + 3_000, 0),
            ticket_fields: defs(TICKET_FIELDS, base + 5_000, SYSTEM_TICKET_FIELDS),
            groups: vec![
                (base + 7_001, "Support"),
                (base + 7_013, "Escalations"),
                (base + 7_027, "Kundendienst"),
                (base + 7_039, "Atendimento"),
            ],
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

    /// The ticket field of an id.
    pub fn ticket_field(&self, id: i64) -> Option<&FieldDef> {
        self.ticket_fields.iter().find(|def| def.id == id && def.removable)
    }

    /// The custom ticket field of a key.
    pub fn ticket_field_by_key(&self, key: &str) -> Option<&FieldDef> {
        self.ticket_fields.iter().find(|def| def.key == key && def.removable)
    }
}

fn defs(rows: &[Row], base: i64, system: usize) -> Vec<FieldDef> {
    let make = |(place, (key, title, kind, choices)): (usize, &Row)| {
        let id = base + 37 * (place as i64 + 1);
        FieldDef {
            id,
            key: (*key).to_owned(),
            title: (*title).to_owned(),
            kind,
            regexp: (*kind == "regexp").then_some("\\A[A-Z]{2}[0-9]{4,10}\\z"),
            tag: (*key == "newsletter").then_some("newsletter"),
            choices: (1..).zip(*choices).map(|(n, (name, value))| choice(id + n, name, value)).collect(),
            removable: place >= system,
            active: true,
        }
    };
    rows.iter().enumerate().map(make).collect()
}

fn choice(id: i64, name: &str, value: &str) -> Choice {
    Choice { id, name: name.into(), raw_name: name.into(), value: value.into(), default: None }
}

impl FieldDef {
    /// The field as `/user_fields` and `/organization_fields` write it.
    pub fn as_rest(&self, host: &str, path: &str, position: usize, made_at: Stamp) -> Value {
        let mut value = json!({"url": format!("{host}/api/v2/{path}/{}.json", self.id), "id": self.id,
            "type": self.kind, "key": self.key, "title": self.title, "raw_title": self.title, "description": "",
            "raw_description": "", "position": position, "active": self.active, "system": false,
            "regexp_for_validation": self.regexp, "created_at": made_at, "updated_at": made_at});
        if let Some(tag) = self.tag {
            value["tag"] = tag.into();
        }
        if !self.choices.is_empty() {
            value["custom_field_options"] = json!(self.choices);
        }
        value
    }

    /// The field as `/ticket_fields` writes it.
    pub fn as_ticket_field(&self, host: &str, position: usize, made_at: Stamp) -> Value {
        let mut value = json!({"url": format!("{host}/api/v2/ticket_fields/{}.json", self.id), "id": self.id,
            "type": self.kind, "title": self.title, "raw_title": self.title, "description": self.title,
            "raw_description": self.title, "position": position, "active": self.active, "required": false,
            "collapsed_for_agents": false, "regexp_for_validation": self.regexp, "title_in_portal": self.title,
            "raw_title_in_portal": self.title, "visible_in_portal": true, "editable_in_portal": true,
            "required_in_portal": false, "tag": self.tag, "created_at": made_at, "updated_at": made_at,
            "removable": self.removable, "key": Value::Null, "agent_description": Value::Null});
        if !self.choices.is_empty() {
            value["custom_field_options"] = json!(self.choices);
        }
        value
    }
}
