//! Which operation a method and a path mean.
use serde_json::Value;

/// An operation of the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// GET, POST, …
    pub method: String,
    /// The path as the document writes it.
    pub path: String,
}

impl Route {
    /// Where the operation stands in the document.
    pub fn pointer(&self) -> String {
        format!("{}/{}", self.item(), self.method.to_lowercase())
    }

    /// Where its path stands.
    pub fn item(&self) -> String {
        format!("/paths/{}", escaped(&self.path))
    }

    /// What stands in `path` for each `{name}`.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.path.split('/').zip(path.split('/')).filter_map(|(part, given)| Some((name(part)?, given)))
    }
}

/// A key as a JSON pointer writes it.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn name(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// All operations of a document.
pub fn of(document: &Value) -> Vec<Route> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let items = document["paths"].as_object().into_iter().flatten();
    let operations = items.flat_map(|(path, item)| {
        let there = METHODS.iter().filter(|method| item.get(**method).is_some());
        there.map(|method| Route { method: method.to_uppercase(), path: path.clone() })
    });
    operations.collect()
}

/// The operation that a request means: where several fit, the one with words in the earlier places.
pub fn find<'a>(routes: &'a [Route], method: &str, path: &str) -> Option<&'a Route> {
    let fits = |route: &&Route| {
        route.method == method
            && route.path.split('/').count() == path.split('/').count()
            && route.path.split('/').zip(path.split('/')).all(|(part, given)| match name(part) {
                Some(_) => !given.is_empty(),
                None => part == given,
            })
    };
    let names = |route: &&Route| route.path.split('/').map(|part| name(part).is_some()).collect::<Vec<_>>();
    routes.iter().filter(fits).min_by_key(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_go_before_names() {
        let document = json!({"paths": {"/users/{id}": {"get": {}, "parameters": []}, "/users/me": {"get": {}},
            "/users/{id}/tags": {"put": {}}, "/{kind}/me": {"get": {}}}});
        let routes = of(&document);
        let check = |method: &str, path: &str, expected: Option<&str>| {
            assert_eq!(find(&routes, method, path).map(|route| route.path.as_str()), expected, "{method} {path}");
        };
        check("GET", "/users/me", Some("/users/me"));
        check("GET", "/users/17", Some("/users/{id}"));
        check("GET", "/users/", None);
        check("PUT", "/users/17", None);
        check("PUT", "/users/17/tags", Some("/users/{id}/tags"));
        check("GET", "/groups/me", Some("/{kind}/me"));
        let route = find(&routes, "PUT", "/users/17/tags").expect("there");
        assert_eq!(route.pointer(), "/paths/~1users~1{id}~1tags/put");
        assert_eq!(route.values("/users/17/tags").collect::<Vec<_>>(), [("id", "17")]);
    }
}
