//! States of addresses: two capital letters (Amperity's rule; peers-outbound §b.1).

use crate::model::push::TargetField;

/// Names of US states and territories, in lower case, with their codes.
const NAMES: [(&str, &str); 56] = [
    ("alabama", "AL"),
    ("alaska", "AK"),
    ("american samoa", "AS"),
    ("arizona", "AZ"),
    ("arkansas", "AR"),
    ("california", "CA"),
    ("colorado", "CO"),
    ("connecticut", "CT"),
    ("delaware", "DE"),
    ("district of columbia", "DC"),
    ("florida", "FL"),
    ("georgia", "GA"),
    ("guam", "GU"),
    ("hawaii", "HI"),
    ("idaho", "ID"),
    ("illinois", "IL"),
    ("indiana", "IN"),
    ("iowa", "IA"),
    ("kansas", "KS"),
    ("kentucky", "KY"),
    ("louisiana", "LA"),
    ("maine", "ME"),
    ("maryland", "MD"),
    ("massachusetts", "MA"),
    ("michigan", "MI"),
    ("minnesota", "MN"),
    ("mississippi", "MS"),
    ("missouri", "MO"),
    ("montana", "MT"),
    ("nebraska", "NE"),
    ("nevada", "NV"),
    ("new hampshire", "NH"),
    ("new jersey", "NJ"),
    ("new mexico", "NM"),
    ("new york", "NY"),
    ("north carolina", "NC"),
    ("north dakota", "ND"),
    ("northern mariana islands", "MP"),
    ("ohio", "OH"),
    ("oklahoma", "OK"),
    ("oregon", "OR"),
    ("pennsylvania", "PA"),
    ("puerto rico", "PR"),
    ("rhode island", "RI"),
    ("south carolina", "SC"),
    ("south dakota", "SD"),
    ("tennessee", "TN"),
    ("texas", "TX"),
    ("utah", "UT"),
    ("vermont", "VT"),
    ("virgin islands", "VI"),
    ("virginia", "VA"),
    ("washington", "WA"),
    ("west virginia", "WV"),
    ("wisconsin", "WI"),
    ("wyoming", "WY"),
];

/// Keys of fields that hold the state of an address, and patterns that say the same. `…_state` alone says nothing: `order_state`
/// is no address.
const KEYS: [&str; 7] =
    ["state", "us_state", "address_state", "billing_state", "shipping_state", "mailing_state", "home_state"];
const PATTERNS: [&str; 4] = ["[A-Z]{2}", "[A-Z][A-Z]", "^[A-Z]{2}$", "\\A[A-Z]{2}\\z"];

/// True for a text field whose key or pattern says that it holds a state of an address. A field with options holds what they say.
pub fn is_state(field: &TargetField) -> bool {
    let key = field.name.rsplit('.').next().unwrap_or(&field.name);
    let pattern = field.pattern.as_deref().is_some_and(|pattern| PATTERNS.contains(&pattern));
    matches!(field.kind.as_str(), "text" | "regexp") && (pattern || KEYS.contains(&key))
}

/// The code of a state: two letters in capitals, or the code of a US state's name.
pub fn code(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('.');
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Some(text.to_ascii_uppercase());
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let name = words.join(" ");
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, code)| (*code).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_two_capital_letters() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(code(text).as_deref(), expected, "{text}");
        check("CA", Some("CA"));
        check(" ny ", Some("NY"));
        check("New  york", Some("NY"));
        check("Tex.", None);
        check("California", Some("CA"));
        check("Bavaria", None);
        check("C1", None);
        check("", None);
    }

    #[test]
    fn which_fields_hold_states() {
        let check = |name: &str, kind: &str, pattern: Option<&str>, expected: bool| {
            let field = TargetField {
                name: name.into(),
                kind: kind.into(),
                active: true,
                options: Vec::new(),
                pattern: pattern.map(str::to_owned),
                max_chars: None,
            };
            assert_eq!(is_state(&field), expected, "{name}");
        };
        check("user_fields.state", "text", None, true);
        check("address.state", "text", None, true);
        check("user_fields.billing_state", "text", None, true);
        check("user_fields.order_state", "text", None, false);
        check("user_fields.state", "dropdown", None, false);
        check("user_fields.where", "regexp", Some("^[A-Z]{2}$"), true);
        check("user_fields.estate", "text", None, false);
    }
}
