//! Making and changing the custom fields of users, organizations and tickets, and the choices of drop-downs.
use super::Refusal;
use crate::time::Stamp;
use crate::world::World;
use crate::world::catalog::{Choice, FieldDef, FieldsOf};
use serde::Deserialize;
use serde_json::Value;

/// Kinds a field of users or organizations may have.
const KINDS: &[&str] =
    &["text", "textarea", "checkbox", "date", "integer", "decimal", "regexp", "dropdown", "lookup", "multiselect"];

/// Kinds a field of tickets may have.
const TICKET_KINDS: &[&str] = &[
    "text",
    "textarea",
    "checkbox",
    "date",
    "integer",
    "decimal",
    "regexp",
    "partialcreditcard",
    "multiselect",
    "tagger",
    "lookup",
];

/// How many fields of one sort an account may have, and how many choices a field.
const MOST_FIELDS: usize = 400;
const MOST_CHOICES: usize = 2_000;

/// What is to be different about a field, or to be so from the start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct FieldPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub key: Option<String>,
    pub title: Option<String>,
    pub raw_title: Option<String>,
    pub description: Option<String>,
    pub raw_description: Option<String>,
    pub regexp_for_validation: Option<String>,
    pub tag: Option<String>,
    pub custom_field_options: Option<Vec<ChoicePatch>>,
    pub relationship_target_type: Option<String>,
    pub relationship_filter: Option<Value>,
    pub active: Option<bool>,
    pub position: Option<i64>,
    pub required: Option<bool>,
    pub collapsed_for_agents: Option<bool>,
    pub title_in_portal: Option<String>,
    pub visible_in_portal: Option<bool>,
    pub editable_in_portal: Option<bool>,
    pub required_in_portal: Option<bool>,
    pub agent_description: Option<String>,
}

/// What is to be different about a choice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are named as Zendesk names them")]
pub struct ChoicePatch {
    pub id: Option<i64>,
    pub name: Option<String>,
    pub raw_name: Option<String>,
    pub value: Option<String>,
    pub default: Option<bool>,
}

impl World {
    /// The field of an id or a key.
    pub fn find_field(&self, of: FieldsOf, key: &str) -> Option<&FieldDef> {
        let by_key = |def: &&FieldDef| of != FieldsOf::Tickets && def.key.eq_ignore_ascii_case(key);
        self.catalog.fields(of).iter().find(|def| def.id.to_string() == key || by_key(def))
    }

    fn field_mut(&mut self, of: FieldsOf, id: i64) -> Result<&mut FieldDef, Refusal> {
        self.catalog.fields_mut(of).iter_mut().find(|def| def.id == id).ok_or(Refusal::NotFound)
    }

    /// Makes a field; answers its id.
    pub fn create_field(&mut self, of: FieldsOf, now: Stamp, patch: FieldPatch) -> Result<i64, Refusal> {
        let kinds = if of == FieldsOf::Tickets { TICKET_KINDS } else { KINDS };
        let asked = patch.kind.as_deref().unwrap_or("text");
        let kind = kinds.iter().find(|kind| **kind == asked);
        let kind = *kind.ok_or_else(|| Refusal::invalid("type", "Type: is invalid", "InvalidValue"))?;
        let title = patch.title.clone().or_else(|| patch.raw_title.clone()).unwrap_or_default();
        if title.trim().is_empty() {
            return Err(Refusal::invalid("title", "Title: cannot be blank", "BlankValue"));
        }
        if self.catalog.fields(of).len() >= MOST_FIELDS {
            let words = format!("The account has reached the limit of {MOST_FIELDS} custom fields");
            return Err(Refusal::invalid("base", words, "LimitExceeded"));
        }
        let id = self.new_id();
        let mut def = FieldDef::new(id, kind, &title, 9_999, now);
        if of == FieldsOf::Tickets {
            def.key = format!("custom_field_{id}");
            if def.has_choices() && patch.custom_field_options.as_ref().is_none_or(Vec::is_empty) {
                let words = "Custom field options: cannot be blank";
                return Err(Refusal::invalid("custom_field_options", words, "BlankValue"));
            }
        } else {
            def.key = self.free_key(of, patch.key.as_deref().unwrap_or_default())?;
        }
        if kind == "lookup" {
            let target = patch.relationship_target_type.clone().unwrap_or_default();
            let known = ["zen:user", "zen:organization", "zen:ticket"].contains(&target.as_str())
                || target.starts_with("zen:custom_object:");
            if !known {
                let words = "Relationship target type: is invalid";
                return Err(Refusal::invalid("relationship_target_type", words, "InvalidValue"));
            }
            def.relationship = Some((target, serde_json::json!({"all": [], "any": []})));
        }
        if kind == "regexp" && patch.regexp_for_validation.as_deref().unwrap_or_default().is_empty() {
            let words = "Regexp for validation: cannot be blank";
            return Err(Refusal::invalid("regexp_for_validation", words, "BlankValue"));
        }
        self.apply_field(&mut def, patch)?;
        self.catalog.fields_mut(of).push(def);
        Ok(id)
    }

    /// A key that may be given to a new field.
    fn free_key(&self, of: FieldsOf, key: &str) -> Result<String, Refusal> {
        let refuse = |words: &str, error| Err(Refusal::invalid("key", format!("Key: {words}"), error));
        if key.is_empty() {
            return refuse("cannot be blank", "BlankValue");
        }
        let allowed = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !allowed || key.chars().all(|c| c.is_ascii_digit()) {
            return refuse("is invalid", "InvalidValue");
        }
        if key.len() > 255 {
            return refuse("is too long (maximum is 255 characters)", "ValueTooLong");
        }
        if self.find_field(of, key).is_some() {
            return refuse(&format!("{key} has already been taken"), "DuplicateValue");
        }
        Ok(key.to_owned())
    }

    /// Changes a field. Its kind and key stay; choices that are not listed are taken away.
    pub fn update_field(&mut self, of: FieldsOf, now: Stamp, id: i64, patch: FieldPatch) -> Result<(), Refusal> {
        let mut def = self.field_mut(of, id)?.clone();
        let blank = |title: &Option<String>| title.as_ref().is_some_and(|title| title.trim().is_empty());
        if blank(&patch.title) || blank(&patch.raw_title) {
            return Err(Refusal::invalid("title", "Title: cannot be blank", "BlankValue"));
        }
        self.apply_field(&mut def, patch)?;
        def.updated_at = now;
        *self.field_mut(of, id)? = def;
        Ok(())
    }

    fn apply_field(&mut self, def: &mut FieldDef, patch: FieldPatch) -> Result<(), Refusal> {
        if let Some(choices) = patch.custom_field_options.filter(|_| def.has_choices()) {
            def.choices = self.choices(&def.choices, choices)?;
        }
        if let (Some((_, filter)), Some(new)) = (&mut def.relationship, patch.relationship_filter) {
            *filter = new;
        }
        set(&mut def.title, patch.title.or(patch.raw_title));
        set(&mut def.description, patch.description.or(patch.raw_description));
        set(&mut def.regexp, patch.regexp_for_validation.map(|text| Some(text.into())));
        set(&mut def.tag, patch.tag.map(|text| Some(text.into())));
        set(&mut def.active, patch.active);
        set(&mut def.position, patch.position);
        let portal = &mut def.portal;
        set(&mut portal.required, patch.required);
        set(&mut portal.collapsed_for_agents, patch.collapsed_for_agents);
        set(&mut portal.title, patch.title_in_portal.map(Some));
        set(&mut portal.visible, patch.visible_in_portal);
        set(&mut portal.editable, patch.editable_in_portal);
        set(&mut portal.required_in_portal, patch.required_in_portal);
        set(&mut portal.agent_description, patch.agent_description.map(Some));
        Ok(())
    }

    /// The choices a field has when these are asked for: those of before keep their ids.
    fn choices(&mut self, before: &[Choice], asked: Vec<ChoicePatch>) -> Result<Vec<Choice>, Refusal> {
        let mut made: Vec<Choice> = Vec::with_capacity(asked.len());
        if asked.len() > MOST_CHOICES {
            let words = format!("Custom field options: must not be more than {MOST_CHOICES}");
            return Err(Refusal::invalid("custom_field_options", words, "LimitExceeded"));
        }
        for patch in asked {
            let same = |choice: &&Choice| match (patch.id, &patch.value) {
                (Some(id), _) => choice.id == id,
                (None, value) => Some(&choice.value) == value.as_ref(),
            };
            let mut choice = match before.iter().find(same) {
                Some(choice) => choice.clone(),
                None => Choice::new(self.new_id(), "", ""),
            };
            apply_choice(&mut choice, patch)?;
            if made.iter().any(|other| other.value == choice.value) {
                let words = format!("Value: {} is already in use", choice.value);
                return Err(Refusal::invalid("value", words, "DuplicateValue"));
            }
            made.push(choice);
        }
        Ok(made)
    }

    /// Takes a field away, with what records hold in it.
    pub fn delete_field(&mut self, of: FieldsOf, id: i64) -> Result<(), Refusal> {
        let def = self.field_mut(of, id)?.clone();
        if !def.removable {
            return Err(Refusal::invalid("base", "A system field cannot be deleted", "InvalidValue"));
        }
        self.catalog.fields_mut(of).retain(|def| def.id != id);
        match of {
            FieldsOf::Users => self.users.values_mut().for_each(|user| drop(user.fields.remove(&def.key))),
            FieldsOf::Organizations => self.organizations.values_mut().for_each(|o| drop(o.fields.remove(&def.key))),
            FieldsOf::Tickets => self.tickets.values_mut().for_each(|ticket| drop(ticket.fields.remove(&id))),
        }
        Ok(())
    }

    /// Puts fields in the order of these ids; the others follow as they were.
    pub fn reorder_fields(&mut self, of: FieldsOf, ids: &[i64]) {
        let place = |def: &FieldDef| ids.iter().position(|id| *id == def.id).unwrap_or(ids.len());
        let defs = self.catalog.fields_mut(of);
        defs.sort_by_key(place);
        for (position, def) in (0..).zip(defs.iter_mut()).take(ids.len()) {
            def.position = position;
        }
    }

    /// Makes a choice, or changes that of the id; answers its id and whether it was made (Z§3: 200 or 201).
    pub fn put_choice(
        &mut self,
        of: FieldsOf,
        now: Stamp,
        field: i64,
        patch: ChoicePatch,
    ) -> Result<(i64, bool), Refusal> {
        let fresh = self.new_id();
        let def = self.field_mut(of, field)?;
        if !def.has_choices() {
            return Err(Refusal::NotFound);
        }
        let place = match patch.id {
            Some(id) => Some(def.choices.iter().position(|choice| choice.id == id).ok_or(Refusal::NotFound)?),
            None => None,
        };
        let mut choice = place.map_or_else(|| Choice::new(fresh, "", ""), |place| def.choices[place].clone());
        apply_choice(&mut choice, patch)?;
        if def.choices.iter().any(|other| other.id != choice.id && other.value == choice.value) {
            let words = format!("Value: {} is already in use", choice.value);
            return Err(Refusal::invalid("value", words, "DuplicateValue"));
        }
        if place.is_none() && def.choices.len() >= MOST_CHOICES {
            let words = format!("Custom field options: must not be more than {MOST_CHOICES}");
            return Err(Refusal::invalid("custom_field_options", words, "LimitExceeded"));
        }
        def.updated_at = now;
        let id = choice.id;
        match place {
            Some(place) => def.choices[place] = choice,
            None => def.choices.push(choice),
        }
        Ok((id, place.is_none()))
    }

    /// Takes a choice away.
    pub fn delete_choice(&mut self, of: FieldsOf, now: Stamp, field: i64, id: i64) -> Result<(), Refusal> {
        let def = self.field_mut(of, field)?;
        let place = def.choices.iter().position(|choice| choice.id == id).ok_or(Refusal::NotFound)?;
        def.choices.remove(place);
        def.updated_at = now;
        Ok(())
    }
}

fn apply_choice(choice: &mut Choice, patch: ChoicePatch) -> Result<(), Refusal> {
    if let Some(name) = patch.name.or(patch.raw_name) {
        (choice.name, choice.raw_name) = (name.clone(), name);
    }
    set(&mut choice.value, patch.value);
    set(&mut choice.default, patch.default.map(Some));
    for (text, field, title) in [(&choice.name, "name", "Name"), (&choice.value, "value", "Value")] {
        if text.trim().is_empty() {
            return Err(Refusal::invalid(field, format!("{title}: cannot be blank"), "BlankValue"));
        }
    }
    Ok(())
}

fn set<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}
