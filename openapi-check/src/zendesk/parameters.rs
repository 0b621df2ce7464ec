//! Parameters that Zendesk documents in words and its OpenAPI does not declare.
use crate::judge::Verdict;
use crate::routes::Route;

/// A parameter that may be given.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The path it belongs to; `*` is every list.
    pub path: &'static str,
    /// Where it is documented.
    pub source: &'static str,
}

const fn parameter(name: &'static str, path: &'static str, source: &'static str) -> Parameter {
    Parameter { name, path, source }
}

/// All of them.
pub const PARAMETERS: &[Parameter] = &[
    parameter("page[size]", "*", "Z§7"),
    parameter("page[after]", "*", "Z§7"),
    parameter("per_page", "/api/v2/incremental/tickets/cursor", "Z§2"),
    parameter("per_page", "/api/v2/incremental/ticket_events", "Z§2"),
    parameter("include", "/api/v2/incremental/ticket_events", "Z§2"),
    parameter("include_deleted", "/api/v2/users/show_many", "Z§3"),
    parameter("per_page", "/api/v2/search", "Z§7"),
    parameter("start_time", "/api/v2/satisfaction_ratings", "Z§4"),
];

/// Parameters that the OpenAPI requires always, and the documents only on the first call (Z§2): `start_time` beside a `cursor`.
pub fn excuse(verdict: &mut Verdict, query: &[(String, String)]) {
    let Verdict::Judged(route, found) = verdict else { return };
    let goes_on = route.path.ends_with("/cursor") && query.iter().any(|(name, _)| name == "cursor");
    found.retain(|finding| !(goes_on && finding.at == "start_time"));
}

/// Whether an operation takes a parameter that it does not declare.
pub fn also(route: &Route, name: &str) -> bool {
    let here = |parameter: &&Parameter| match parameter.path {
        "*" => route.method == "GET",
        path => path == route.path,
    };
    PARAMETERS.iter().filter(here).any(|parameter| parameter.name == name)
}
