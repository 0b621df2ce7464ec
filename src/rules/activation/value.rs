//! A value formed for the type of its target field, or why it cannot be.

use crate::model::push::TargetField;
use serde_json::Value;

/// True for what Zendesk has as no value: `null`, an empty text, an empty list.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// True when two values are one in a field of this type: numbers by their value, dates by their day, options, addresses and
/// external ids without regard to case (Z§3), lists without regard to order, checkboxes that were never set as unset.
pub fn same(field: &TargetField, a: &Value, b: &Value) -> bool {
    a == b || plain(field, a) == plain(field, b)
}

/// A value in the one form that equal values share; empty for none.
fn plain(field: &TargetField, value: &Value) -> String {
    if let Value::Array(items) = value {
        let mut items: Vec<String> = items.iter().map(|item| plain(field, item)).collect();
        items.sort();
        items.dedup();
        return items.join("\n");
    }
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().replace("\r\n", "\n"),
        other => other.to_string(),
    };
    match field.kind.as_str() {
        "date" => text.get(..10).unwrap_or(&text).to_string(),
        "integer" | "decimal" => number(text),
        "checkbox" if text == "false" => String::new(),
        "dropdown" | "multiselect" | "email" | "external_id" | "locale" => text.to_lowercase(),
        "phone" => text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').collect(),
        _ => text,
    }
}

/// `12.50`, `12.5` and `+12.5` as one.
fn number(text: String) -> String {
    match text.parse::<f64>() {
        Ok(number) if text.parse::<i64>().is_err() => format!("{number}"),
        _ => text,
    }
}
