//! The document as JSON, and its schemas in the words of JSON Schema.
use serde_json::{Map, Value, json};

/// Reads YAML. Errors say where.
pub fn from_yaml(text: &str) -> Result<Value, String> {
    serde_norway::from_str(text).map_err(|e| format!("no YAML: {e}"))
}

/// What stands at a JSON pointer.
pub fn at<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    document.pointer(pointer)
}

/// Puts a value at a JSON pointer, whose parent must be there; None takes it away.
pub fn put(document: &mut Value, pointer: &str, value: Option<Value>) -> Result<(), String> {
    let (parent, key) = pointer.rsplit_once('/').ok_or_else(|| format!("{pointer} is no pointer"))?;
    let key = key.replace("~1", "/").replace("~0", "~");
    let Some(Value::Object(map)) = document.pointer_mut(parent) else {
        return Err(format!("the document has no object at {parent}"));
    };
    match value {
        Some(value) => _ = map.insert(key, value),
        None => _ = map.remove(&key),
    }
    Ok(())
}

/// Follows `$ref`, as far as it goes.
pub fn resolved<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    for _ in 0..16 {
        let target = value.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| document.pointer(pointer)) {
            Some(target) => value = target,
            None => break,
        }
    }
    value
}

/// Which way a body goes: what is `readOnly` is not asked of a request, what is `writeOnly` not of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Request,
    /// From it.
    Response,
}

/// The same document with every schema in the words of JSON Schema; places stay the same.
pub fn as_json_schema(value: &Value, way: Way) -> Value {
    match value {
        Value::Array(all) => all.iter().map(|value| as_json_schema(value, way)).collect(),
        Value::Object(map) => schema(map, way),
        other => other.clone(),
    }
}

fn schema(map: &Map<String, Value>, way: Way) -> Value {
    let plain =
        |key: &str, value: &Value| matches!(key, "example" | "examples" | "default" | "enum") && !value.is_object();
    let translated = |(key, value): (&String, &Value)| {
        let value = if plain(key, value) { value.clone() } else { as_json_schema(value, way) };
        (key.clone(), value)
    };
    let mut out: Map<String, Value> = map.iter().map(translated).collect();
    if let (Some(Value::Array(required)), Some(properties)) = (map.get("required"), map.get("properties")) {
        let other = if way == Way::Request { "readOnly" } else { "writeOnly" };
        let asked = |name: &&Value| name.as_str().is_none_or(|name| properties[name][other] != true);
        out.insert("required".into(), required.iter().filter(asked).cloned().collect());
    }
    if map.get("nullable") == Some(&Value::Bool(true)) { nullable(out) } else { out.into() }
}

/// `nullable` in JSON Schema. Beside `$ref`, where OpenAPI 3.0 would not look at it, it is taken as it is meant.
fn nullable(mut out: Map<String, Value>) -> Value {
    out.remove("nullable");
    let combined = ["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| out.contains_key(*key));
    match (combined, out.get("type").cloned()) {
        (false, Some(Value::String(kind))) => {
            out.insert("type".into(), json!([kind, "null"]));
            if let Some(Value::Array(words)) = out.get_mut("enum") {
                words.push(Value::Null);
            }
            out.into()
        }
        _ => json!({"anyOf": [out, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Value, way: Way, expected: Value) {
        assert_eq!(as_json_schema(&given, way), expected);
    }

    #[test]
    fn a_bare_equals_sign_is_a_text() {
        assert_eq!(from_yaml("a:\n  - =\n  - 2015-05-13").expect("YAML"), json!({"a": ["=", "2015-05-13"]}));
    }

    #[test]
    fn openapi_becomes_json_schema() {
        check(json!({"type": "string", "nullable": true}), Way::Request, json!({"type": ["string", "null"]}));
        check(
            json!({"type": "string", "enum": ["a"], "nullable": true}),
            Way::Request,
            json!({"type": ["string", "null"], "enum": ["a", null]}),
        );
        let either = json!({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]});
        check(json!({"$ref": "#/x", "nullable": true}), Way::Request, either);
        // A property may be called as a keyword is.
        let named = json!({"properties": {"nullable": {"type": "boolean"}, "type": {"type": "string"}}});
        check(named.clone(), Way::Response, named);
        let given = json!({"required": ["id", "name"], "properties": {"id": {"readOnly": true}, "name": {}}});
        assert_eq!(as_json_schema(&given, Way::Request)["required"], json!(["name"]));
        assert_eq!(as_json_schema(&given, Way::Response)["required"], json!(["id", "name"]));
    }

    #[test]
    fn places_are_changed_one_by_one() {
        let mut document = json!({"paths": {"/a/b": {"get": {}}}});
        put(&mut document, "/paths/~1a~1b/put", Some(json!(1))).expect("put");
        put(&mut document, "/paths/~1a~1b/get", None).expect("taken away");
        assert_eq!(document, json!({"paths": {"/a/b": {"put": 1}}}));
        assert!(put(&mut document, "/paths/nowhere/get", None).is_err());
    }
}
