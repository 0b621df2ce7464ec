//! What Zendesk says when it says no, in whichever of its shapes (zendesk-api.md §10).

use serde_json::value::RawValue;

use super::fault;
use super::json::{Json, elements, member, members, view};
use super::sell;
use crate::model::push::Fault;

/// The longest description that is kept.
const MAX_DESCRIPTION: usize = 300;

/// The longest code or field name that is kept.
const MAX_CODE: usize = 80;

/// An error of Zendesk. Free of addresses, so that it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Its name, such as `RecordInvalid`; empty where there is none.
    pub code: String,
    /// What it says.
    pub description: String,
    /// Fields that are wrong, with the name of each error where it has one: `("email", "DuplicateValue")`.
    pub details: Vec<(String, String)>,
    /// What the first of them says is wrong with its field.
    fault: Option<Fault>,
}

impl ApiError {
    /// Why a single record was refused, without values.
    pub fn fault(&self) -> Fault {
        self.fault.clone().unwrap_or_else(|| fault::fault(&self.code, None, &self.description))
    }
}

/// The error in the body of an answer: `error` as text or object, a list of `errors`, plain text, HTML, or nothing.
pub fn error_message(status: u16, body: &[u8]) -> ApiError {
    let text = String::from_utf8_lossy(&body[..body.len().min(64 * 1024)]);
    let text = text.trim_start_matches('\u{FEFF}').trim();
    let mut error = ApiError { status, ..ApiError::default() };
    let describe = |words: &str| ApiError { status, description: words.to_owned(), ..ApiError::default() };
    match text.as_bytes().first() {
        None => return describe("an empty answer"),
        Some(b'<') => return describe("an HTML page"),
        Some(b'{') => {}
        Some(_) => return describe(&safe(text, MAX_DESCRIPTION)),
    }
    let object = members(text, |key, value| match &*key {
        "error" => named(value, &mut error),
        "description" | "error_description" | "message" => words(&mut error.description, value, MAX_DESCRIPTION),
        "details" => {
            details(value, &mut error.details);
            error.fault = fault::of_details("", value);
        }
        "errors" => listed(value, &mut error),
        _ => {}
    });
    match object {
        true if error.code.is_empty() && error.description.is_empty() => {
            ApiError { details: error.details, fault: error.fault, ..describe("JSON without an error") }
        }
        true => error,
        false => describe("JSON that is cut off or broken"),
    }
}

/// `error` is a name, or an object with title and message.
fn named(value: &RawValue, error: &mut ApiError) {
    match view(value) {
        Json::Object => {
            members(value.get(), |key, value| match &*key {
                "title" | "code" => words(&mut error.code, value, MAX_CODE),
                "message" | "description" => words(&mut error.description, value, MAX_DESCRIPTION),
                _ => {}
            });
        }
        _ => words(&mut error.code, value, MAX_CODE),
    }
}

/// `errors` is a list of objects; the first speaks. Those of Zendesk Sell have an envelope each.
fn listed(value: &RawValue, error: &mut ApiError) {
    elements(value.get(), |each| {
        if error.code.is_empty()
            && let Some((code, fault)) = sell::error(each)
        {
            error.details.extend(fault.field.clone().map(|field| (field, code.clone())));
            (error.code, error.fault) = (code, Some(fault));
        }
        if error.code.is_empty() && error.description.is_empty() {
            let mut title = String::new();
            members(each.get(), |key, value| match &*key {
                "code" => words(&mut error.code, value, MAX_CODE),
                "title" => words(&mut title, value, MAX_DESCRIPTION),
                "detail" => words(&mut error.description, value, MAX_DESCRIPTION),
                _ => {}
            });
            if matches!(view(each), Json::Text(_)) {
                words(&mut title, each, MAX_DESCRIPTION);
            }
            if error.description.is_empty() {
                error.description = title;
            }
        }
    });
}

/// `{field: [{description, error}]}`. The descriptions quote values and are left out.
fn details(value: &RawValue, found: &mut Vec<(String, String)>) {
    members(value.get(), |field, list| {
        let field = safe(field.trim_end_matches([':', ' ']), MAX_CODE);
        let mut code = String::new();
        elements(list.get(), |each| {
            if let Some(name) = member(each, "error").filter(|_| code.is_empty()) {
                words(&mut code, name, MAX_CODE);
            }
        });
        if found.len() < 20 {
            found.push((field, code));
        }
    });
}

fn words(into: &mut String, value: &RawValue, max: usize) {
    if let Json::Text(text) = view(value) {
        *into = safe(&text, max);
    }
}

/// One line, without addresses, with an end.
fn safe(text: &str, max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if line.len() >= max {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(if word.contains('@') { "***" } else { word });
    }
    line.truncate(line.floor_char_boundary(max));
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, code: &str, description: &str) {
        let error = error_message(422, body.as_bytes());
        assert_eq!((error.code.as_str(), error.description.as_str()), (code, description), "{body}");
    }

    #[test]
    fn every_shape_of_an_error() {
        check(r#"{"error":"RecordNotFound","description":"Not found"}"#, "RecordNotFound", "Not found");
        check(r#"{"error":{"title":"Forbidden","message":"No access"}}"#, "Forbidden", "No access");
        check(r#"{"error":"Couldn't authenticate you"}"#, "Couldn't authenticate you", "");
        check(r#"{"errors":[{"code":"TooDeep","title":"Title","detail":"Detail"},{"code":"x"}]}"#, "TooDeep", "Detail");
        check(r#"{"errors":[{"code":"QueryError","title":"Invalid type"}]}"#, "QueryError", "Invalid type");
        check(r#"{"errors":["just words"]}"#, "", "just words");
        check(r#"{"error":"invalid_grant","error_description":"gone"}"#, "invalid_grant", "gone");
        check("Rate limit exceeded.\nTry later", "", "Rate limit exceeded. Try later");
        check("<html>jane@shop.test</html>", "", "an HTML page");
        check(" ", "", "an empty answer");
        check("{\"error\":", "", "JSON that is cut off or broken");
        check("{}", "", "JSON without an error");
    }

    #[test]
    fn values_of_people_stay_out() {
        let body = r#"{"error":"RecordInvalid","description":"Bad jane@shop.test here","details":{"email":[{"description":
            "Email: jane@shop.test is already being used","error":"DuplicateValue"}],"Name: ":[{"description":"x"}]}}"#;
        let error = error_message(422, body.as_bytes());
        assert_eq!(error.description, "Bad *** here");
        assert_eq!(
            error.details,
            [("email".to_owned(), "DuplicateValue".to_owned()), ("Name".to_owned(), String::new())]
        );
        assert!(!format!("{error:?}").contains("jane"));
        assert_eq!(error_message(500, "é".repeat(1_000).as_bytes()).description.len(), MAX_DESCRIPTION);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = error_message(400, &body);
        }
    }
}
