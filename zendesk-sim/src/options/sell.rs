//! What Sell has and allows.
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The section `sell`; its address is `sell_listen`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sell {
    /// How many contacts to make up.
    pub contacts: usize,
    /// Requests an hour for each token.
    pub hourly: usize,
    /// Requests a second for each token.
    pub per_second: usize,
    /// Seconds until an access token ends.
    pub expires_in: i64,
    /// The custom fields that contacts may have.
    pub custom_fields: Vec<CustomField>,
}

/// A custom field of contacts: its name alone, for one of texts, or all of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Told")]
pub struct CustomField {
    /// Its name, by which contacts have it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// What a list lets one choose from.
    pub choices: Vec<String>,
}

/// The types of custom fields that are simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A text.
    #[default]
    String,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A day.
    Date,
    /// One of the choices.
    List,
    /// Some of the choices.
    MultiSelectList,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Name(String),
    Whole(Whole),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    name: String,
    #[serde(default, rename = "type")]
    kind: Kind,
    #[serde(default)]
    choices: Vec<String>,
}

impl From<Told> for CustomField {
    fn from(told: Told) -> Self {
        match told {
            Told::Name(name) => Self { name, kind: Kind::String, choices: Vec::new() },
            Told::Whole(Whole { name, kind, choices }) => Self { name, kind, choices },
        }
    }
}

impl CustomField {
    /// Whether a contact may have this value.
    pub fn takes(&self, value: &Value) -> bool {
        let chosen = |value: &Value| value.as_str().is_some_and(|text| self.choices.iter().any(|each| each == text));
        let text = value.as_str();
        value.is_null()
            || match self.kind {
                Kind::String => text.is_some(),
                Kind::Number => value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok()),
                Kind::Boolean => value.is_boolean(),
                Kind::Date => text.is_some_and(|text| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()),
                Kind::List => chosen(value),
                Kind::MultiSelectList => value.as_array().is_some_and(|all| all.iter().all(chosen)),
            }
    }
}

impl Default for Sell {
    fn default() -> Self {
        let custom_fields = ["Audience", "Tier"].map(|name| CustomField::from(Told::Name(name.to_owned())));
        Self { contacts: 100, hourly: 36_000, per_second: 10, expires_in: 3_600, custom_fields: custom_fields.into() }
    }
}
