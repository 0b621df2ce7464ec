//! What a request's body says beyond its schema: properties that it does not name, or that only the server writes.
use crate::document::resolved;
use crate::judge::Finding;
use crate::routes::escaped;
use serde_json::Value;

/// Every property of `body` that `schema` does not name, or that is `readOnly`.
pub fn findings(document: &Value, schema: &Value, body: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    walk(document, &[schema], body, "", &mut found);
    found
}

/// The schemas that say something of the same value: the given ones, and what they are combined of.
fn flat<'a>(document: &'a Value, schema: &'a Value, depth: usize, all: &mut Vec<&'a Value>) {
    let schema = resolved(document, schema);
    if depth > 16 {
        return;
    }
    all.push(schema);
    for key in ["allOf", "anyOf", "oneOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            flat(document, part, depth + 1, all);
        }
    }
}

fn walk(document: &Value, schemas: &[&Value], value: &Value, place: &str, found: &mut Vec<Finding>) {
    let mut all = Vec::new();
    for schema in schemas {
        flat(document, schema, 0, &mut all);
    }
    match value {
        Value::Array(rows) => {
            let items: Vec<_> = all.iter().filter_map(|schema| schema.get("items")).collect();
            for (index, row) in rows.iter().enumerate() {
                walk(document, &items, row, &format!("{place}/{index}"), found);
            }
        }
        Value::Object(members) => {
            let others = all.iter().filter_map(|schema| schema.get("additionalProperties"));
            let others: Vec<_> = others.filter(|more| **more != Value::Bool(false)).collect();
            // A schema that names nothing says only that it is an object: whatever is in it is free.
            let free = all.iter().all(|schema| schema.get("properties").is_none());
            for (name, member) in members {
                let here = format!("{place}/{}", escaped(name));
                let named: Vec<_> =
                    all.iter().filter_map(|schema| schema.pointer(&format!("/properties/{}", escaped(name)))).collect();
                let read_only =
                    !named.is_empty() && named.iter().all(|schema| resolved(document, schema)["readOnly"] == true);
                if read_only {
                    found.push(Finding::new(&here, "", "only the server writes this"));
                }
                if named.is_empty() && others.is_empty() && !free {
                    found.push(Finding::new(&here, "", "no such property"));
                }
                let next = if named.is_empty() { &others } else { &named };
                walk(document, next, member, &here, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, body: Value, expected: &[&str]) {
        let document = json!({"s": {"properties": {"a": {"type": "integer"}, "r": {"readOnly": true}}}});
        let found: Vec<_> =
            findings(&document, &schema, &body).into_iter().map(|f| format!("{} {}", f.at, f.what)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_schema_does_not_name_is_found() {
        check(json!({"$ref": "#/s"}), json!({"a": 1, "b": 2}), &["/b no such property"]);
        check(json!({"$ref": "#/s"}), json!({"r": 1}), &["/r only the server writes this"]);
        let both = json!({"allOf": [{"$ref": "#/s"}, {"properties": {"b": {}}}]});
        check(both, json!({"a": 1, "b": {"any": 1}, "c": 3}), &["/c no such property"]);
        let rows = json!({"properties": {"rows": {"items": {"$ref": "#/s"}}}});
        check(rows, json!({"rows": [{"a": 1}, {"x/y": 1}]}), &["/rows/1/x~1y no such property"]);
        check(
            json!({"type": "object", "additionalProperties": {"$ref": "#/s"}}),
            json!({"k": {"z": 1}}),
            &["/k/z no such property"],
        );
        check(json!({"type": "object"}), json!({"free": 1}), &[]);
    }
}
