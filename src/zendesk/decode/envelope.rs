//! What the intake needs of a webhook before it is stored: its id and its type. Quick, and safe on hostile bytes.

use serde_json::value::RawValue;

use super::json::{Json, members, view};

/// The longest id or type that is taken.
const MAX_NAME: usize = 255;

/// Deeper than any webhook.
const MAX_DEPTH: usize = 64;

/// Id and type of a webhook, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Zendesk's id of the event; triggers and automations write bodies without one.
    pub id: Option<String>,
    /// Zendesk's type, with its prefix.
    pub event_type: Option<String>,
}

/// The envelope of a body. None when it is no JSON object, is nested beyond reason, or has an id or type that is no
/// short text.
pub fn envelope(body: &[u8]) -> Option<Envelope> {
    let text = std::str::from_utf8(body).ok()?;
    if is_deep(body) {
        return None;
    }
    let mut envelope = Envelope::default();
    let mut fits = true;
    let object = members(text, |key, value| match &*key {
        "id" => envelope.id = name(value, &mut fits),
        "type" => envelope.event_type = name(value, &mut fits),
        _ => {}
    });
    (object && fits).then_some(envelope)
}

/// The type without its prefix, in either of its spellings (A3): `zen:event-type:user.created`,
/// `zen:event-type/user.created`.
pub fn event_type(text: &str) -> String {
    let name = text.trim().to_lowercase();
    let prefix = name.strip_prefix("zen:event-type").and_then(|rest| rest.strip_prefix([':', '/']));
    prefix.map(str::to_owned).unwrap_or(name)
}

fn name(value: &RawValue, fits: &mut bool) -> Option<String> {
    match view(value) {
        Json::Null => None,
        Json::Text(text) if text.len() <= MAX_NAME && !text.contains('\0') => {
            Some(text.into_owned()).filter(|text| !text.is_empty())
        }
        _ => {
            *fits = false;
            None
        }
    }
}

/// True when brackets outside texts nest deeper than [`MAX_DEPTH`].
fn is_deep(body: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: Option<(Option<&str>, Option<&str>)>) {
        let found = envelope(body.as_bytes());
        let found = found.as_ref().map(|found| (found.id.as_deref(), found.event_type.as_deref()));
        assert_eq!(found, expected, "{}", &body[..body.len().min(60)]);
    }

    #[test]
    fn only_id_and_type() {
        check(
            r#"{"type":"zen:event-type:user.created","id":"6b9b","x":{"id":1}}"#,
            Some((Some("6b9b"), Some("zen:event-type:user.created"))),
        );
        check(r#"{"ticket_id":"22305"}"#, Some((None, None)));
        check(r#"{"id":"","type":null}"#, Some((None, None)));
    }

    #[test]
    fn hostile_bodies() {
        for body in ["", "[]", "null", "\"x\"", "{", r#"{"id":7}"#, r#"{"id":"a\u0000"}"#, r#"{"type":["x"]}"#] {
            check(body, None);
        }
        check(&format!(r#"{{"id":"{}"}}"#, "x".repeat(256)), None);
        check(&"[".repeat(1_000_000), None);
        check(&format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), None);
        check(&format!(r#"{{"id":"a","x":"{}"}}"#, "[".repeat(1_000)), Some((Some("a"), None)));
        assert_eq!(envelope(b"{\"id\":\"\xff\"}"), None);
    }

    #[test]
    fn both_separators_a3() {
        for text in
            ["zen:event-type:user.merged", "zen:event-type/user.merged", "user.merged", " ZEN:EVENT-TYPE:User.Merged"]
        {
            assert_eq!(event_type(text), "user.merged");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = envelope(&body);
        }
    }
}
