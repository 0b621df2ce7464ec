//! The judge: a document compiled once, asked for each request and response.
use crate::document::{Way, as_json_schema, resolved};
use crate::routes::{self, Route, escaped};
use crate::surplus;
use boon::{Compiler, Draft, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;
use std::collections::BTreeMap;

/// Something that is not as the document says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where in the body (a JSON pointer), or which parameter.
    pub at: String,
    /// Which place of the document says otherwise, if one does.
    pub rule: String,
    /// In words.
    pub what: String,
}

impl Finding {
    /// A finding.
    pub fn new(at: &str, rule: &str, what: impl Into<String>) -> Self {
        Self { at: at.to_owned(), rule: rule.to_owned(), what: what.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", if self.at.is_empty() { "body" } else { &self.at }, self.what)?;
        if self.rule.is_empty() { Ok(()) } else { write!(f, " [{}]", self.rule) }
    }
}

/// What the judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The document has no such method and path.
    NoOperation,
    /// It has the operation, and says nothing of this status.
    NoStatus(Route),
    /// It has the operation; nothing found is well.
    Judged(Route, Vec<Finding>),
}

/// A request to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// GET, POST, …
    pub method: &'a str,
    /// The path, without `.json`.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(String, String)],
    /// The body, if there is one.
    pub body: Option<&'a Value>,
}

/// A document, compiled.
pub struct Judge {
    document: Value,
    routes: Vec<Route>,
    schemas: Schemas,
    compiled: BTreeMap<String, SchemaIndex>,
}

const REQUESTS: &str = "https://openapi.invalid/request";
const RESPONSES: &str = "https://openapi.invalid/response";

impl Judge {
    /// Compiles the bodies of all operations. Errors name the schema that is none.
    pub fn new(document: Value) -> Result<Self, String> {
        let routes = routes::of(&document);
        let all: Vec<_> = routes.iter().flat_map(|route| bodies(&document, route)).collect();
        Self::compiled(document, routes, &all)
    }

    /// Compiles only what stands at some pointers, to be asked by [`Judge::value`].
    pub fn only(document: Value, pointers: &[String]) -> Result<Self, String> {
        let all: Vec<_> = pointers.iter().map(|pointer| (RESPONSES, pointer.clone())).collect();
        Self::compiled(document, Vec::new(), &all)
    }

    /// Compiles only the answers of one operation.
    pub fn only_route(document: Value, route: &Route) -> Result<Self, String> {
        let all = bodies(&document, route);
        Self::compiled(document, vec![route.clone()], &all)
    }

    fn compiled(document: Value, routes: Vec<Route>, all: &[(&str, String)]) -> Result<Self, String> {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        for (name, way) in [(REQUESTS, Way::Request), (RESPONSES, Way::Response)] {
            if all.iter().any(|(used, _)| *used == name) {
                compiler.add_resource(name, as_json_schema(&document, way)).map_err(|e| e.to_string())?;
            }
        }
        let mut schemas = Schemas::new();
        let mut compiled = BTreeMap::new();
        for (name, pointer) in all {
            let place = format!("{name}#{}", fragment(pointer));
            let index = compiler.compile(&place, &mut schemas).map_err(|e| format!("{pointer}: {e:#}"))?;
            compiled.insert(format!("{name}#{pointer}"), index);
        }
        Ok(Self { document, routes, schemas, compiled })
    }

    /// A judge that finds everything wrong, and says why: a document that cannot be read must not pass.
    pub fn broken(why: &str) -> Self {
        let judge =
            Self { document: Value::Null, routes: Vec::new(), schemas: Schemas::new(), compiled: BTreeMap::new() };
        Self { document: why.into(), ..judge }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// All operations.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The operation that a method and a path mean.
    pub fn route(&self, method: &str, path: &str) -> Option<&Route> {
        routes::find(&self.routes, method, path)
    }

    /// Judges a response. `kind` is its media type, `body` its bytes.
    pub fn response(&self, method: &str, path: &str, status: u16, kind: &str, body: &[u8]) -> Verdict {
        let Some(route) = self.route(method, path) else { return Verdict::NoOperation };
        let pointer = format!("{}/responses/{status}", route.pointer());
        let Some(said) = self.document.pointer(&pointer) else { return Verdict::NoStatus(route.clone()) };
        let Some(content) = said["content"].as_object().filter(|content| !content.is_empty()) else {
            let surplus = (!body.is_empty()).then(|| Finding::new("", &pointer, "a body, where none is said to be"));
            return Verdict::Judged(route.clone(), surplus.into_iter().collect());
        };
        let media = kind.split(';').next().unwrap_or_default().trim();
        let found = if !content.contains_key(media) {
            vec![Finding::new("content-type", &pointer, format!("{media} is not one of {:?}", content.keys()))]
        } else {
            let place = format!("{pointer}/content/{}/schema", escaped(media));
            match serde_json::from_slice(body) {
                Ok(value) => self.judged(RESPONSES, &place, &value),
                Err(e) => vec![Finding::new("", &place, format!("no JSON: {e}"))],
            }
        };
        Verdict::Judged(route.clone(), found)
    }

    /// Judges a request. `also` says which parameters may be given though the operation does not name them.
    pub fn request(&self, asked: Asked<'_>, also: impl Fn(&Route, &str) -> bool) -> Verdict {
        let Some(route) = self.route(asked.method, asked.path) else { return Verdict::NoOperation };
        let mut found = self.parameters(route, asked, also);
        let place = format!("{}/requestBody/content/application~1json/schema", route.pointer());
        match (asked.body, self.document.pointer(&place)) {
            (Some(body), Some(schema)) => {
                found.extend(self.judged(REQUESTS, &place, body));
                found.extend(surplus::findings(&self.document, schema, body));
            }
            (Some(_), None) => found.push(Finding::new("", &route.pointer(), "a body, where none is said to be")),
            (None, Some(_))
                if self.document.pointer(&format!("{}/requestBody/required", route.pointer()))
                    == Some(&true.into()) =>
            {
                found.push(Finding::new("", &place, "no body, where one is said to be"));
            }
            (None, _) => {}
        }
        Verdict::Judged(route.clone(), found)
    }

    /// Judges a value by the schema at a pointer, which [`Judge::only`] compiled.
    pub fn value(&self, pointer: &str, value: &Value) -> Vec<Finding> {
        self.judged(RESPONSES, pointer, value)
    }

    fn judged(&self, name: &str, pointer: &str, value: &Value) -> Vec<Finding> {
        let Some(index) = self.compiled.get(&format!("{name}#{pointer}")) else { return Vec::new() };
        let mut found = Vec::new();
        if let Err(error) = self.schemas.validate(value, *index) {
            leaves(&error, &mut found);
        }
        found
    }

    fn parameters(&self, route: &Route, asked: Asked<'_>, also: impl Fn(&Route, &str) -> bool) -> Vec<Finding> {
        let mut declared = Vec::new();
        for place in [route.item(), route.pointer()] {
            let list = self.document.pointer(&format!("{place}/parameters")).and_then(Value::as_array);
            declared.extend(list.into_iter().flatten().map(|parameter| resolved(&self.document, parameter)));
        }
        let named = |name: &str, place: &str| {
            declared.iter().copied().find(|parameter| parameter["name"] == name && parameter["in"] == place)
        };
        let mut found = Vec::new();
        let mut check = |name: &str, text: &str, parameter: Option<&Value>| {
            let schema = parameter.map(|parameter| resolved(&self.document, &parameter["schema"]));
            match schema {
                Some(schema) if !fits(schema, text) => {
                    found.push(Finding::new(name, &route.pointer(), format!("{text:?} is not {schema}")));
                }
                None if !also(route, name) => found.push(Finding::new(name, &route.pointer(), "no such parameter")),
                _ => {}
            }
        };
        for (name, text) in route.values(asked.path) {
            check(name, text, named(name, "path"));
        }
        for (name, text) in asked.query {
            check(name, text, named(name, "query"));
        }
        for parameter in declared.iter().filter(|parameter| parameter["in"] == "query" && parameter["required"] == true)
        {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !asked.query.iter().any(|(given, _)| given == name) {
                found.push(Finding::new(name, &route.pointer(), "this parameter is required"));
            }
        }
        found
    }
}

/// Whether the text of a parameter is what its schema says.
fn fits(schema: &Value, text: &str) -> bool {
    let of_kind = match schema["type"].as_str() {
        Some("integer") => text.parse::<i64>().is_ok(),
        Some("number") => text.parse::<f64>().is_ok(),
        Some("boolean") => matches!(text, "true" | "false"),
        Some("array") => text.split(',').all(|part| fits(&schema["items"], part)),
        _ => true,
    };
    of_kind && schema["enum"].as_array().is_none_or(|words| words.iter().any(|word| word == text))
}

/// The schemas of an operation's bodies: of which way, and where.
fn bodies(document: &Value, route: &Route) -> Vec<(&'static str, String)> {
    let at = route.pointer();
    let Some(operation) = document.pointer(&at) else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |name, holder: &Value, place: String| {
        for (media, content) in holder["content"].as_object().into_iter().flatten() {
            if content.get("schema").is_some() {
                found.push((name, format!("{place}/content/{}/schema", escaped(media))));
            }
        }
    };
    add(REQUESTS, &operation["requestBody"], format!("{at}/requestBody"));
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        add(RESPONSES, response, format!("{at}/responses/{status}"));
    }
    found
}

/// A pointer as a fragment of an address.
fn fragment(pointer: &str) -> String {
    pointer.replace('%', "%25").replace('{', "%7B").replace('}', "%7D").replace('[', "%5B").replace(']', "%5D")
}

fn leaves(error: &ValidationError<'_, '_>, found: &mut Vec<Finding>) {
    if error.causes.is_empty() {
        let rule = error.schema_url.split_once('#').map_or("", |(_, pointer)| pointer);
        let rule =
            rule.replace("%7B", "{").replace("%7D", "}").replace("%5B", "[").replace("%5D", "]").replace("%25", "%");
        found.push(Finding::new(&error.instance_location.to_string(), &rule, error.kind.to_string()));
    }
    for cause in &error.causes {
        leaves(cause, found);
    }
}
