//! Requests as lines of text: a sign-in, a method, a path, the status expected, a body, and what to remember of the answer.
//!
//! `@agent POST /api/v2/users 201 {"user": {"name": "Ana"}} -> ana=/user/id`: `@` says who asks (an admin where nothing is
//! said), `$ana` in later lines is what was remembered.
use crate::common::{Answer, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A line of the script.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Who asks.
    pub who: &'a str,
    /// GET, POST, …
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// The status expected.
    pub status: u16,
    /// The body.
    pub body: Option<&'a str>,
    /// Names, and where in the answer what they stand for is.
    pub keep: Vec<(&'a str, &'a str)>,
}

/// Reads a script; lines that begin with `#` are comments.
pub fn parse(text: &str) -> Vec<Line<'_>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|text| line(text).unwrap_or_else(|| panic!("cannot be read: {text}"))).collect()
}

fn line(text: &str) -> Option<Line<'_>> {
    let (text, keep) = text.split_once(" -> ").unwrap_or((text, ""));
    let (who, text) = match text.strip_prefix('@') {
        Some(rest) => rest.split_once(' ')?,
        None => ("admin", text),
    };
    let mut parts = text.splitn(4, ' ');
    let (method, path, status) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    let keep = keep.split_whitespace().map(|pair| pair.split_once('=')).collect::<Option<_>>()?;
    Some(Line { who, method, path, status, body: parts.next(), keep })
}

/// A script that runs in a world.
pub struct Run<'a> {
    /// The world.
    pub world: &'a World,
    /// What was remembered.
    pub names: BTreeMap<String, String>,
    tokens: BTreeMap<&'static str, String>,
}

impl<'a> Run<'a> {
    /// A run with tokens for everybody who asks.
    pub async fn new(world: &'a World) -> Self {
        let mut tokens = BTreeMap::from([("admin", world.token.clone()), ("wrong", "nonsense".into())]);
        for (name, given) in [
            ("agent", json!({"role": "agent"})),
            ("customer", json!({"role": "end-user"})),
            ("narrow", json!({"scopes": ["tickets:read"]})),
        ] {
            let made = world.post("/_sim/tokens", given).await.body;
            tokens.insert(name, made["token"].as_str().expect("a token").to_owned());
        }
        let about = |key: &str| (key.to_owned(), world.sim.about[key].as_str().unwrap_or_default().to_owned());
        let mut names = BTreeMap::from([about("client_id"), about("client_secret")]);
        names.insert("sim".to_owned(), world.sim.url.clone());
        Self { world, names, tokens }
    }

    /// Puts what was remembered in the place of names. Longer names first, so that none is taken for the start of another.
    pub fn filled(&self, text: &str) -> String {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
    }

    /// Sends what a line says and remembers what it wants remembered; answers what is not as it says.
    pub async fn send(&mut self, line: &Line<'_>) -> Result<Answer, String> {
        let path = self.filled(line.path);
        let body = line.body.map(|text| {
            let text = self.filled(text);
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
        });
        let method = Method::from_bytes(line.method.as_bytes()).expect("a method");
        let token = self.tokens.get(line.who).map(String::as_str);
        let answer = self.world.send(method, &path, body, token).await;
        if answer.status != line.status {
            return Err(format!("{} {path}: {} and not {}: {}", line.method, answer.status, line.status, answer.body));
        }
        for (name, place) in &line.keep {
            let value = match answer.body.pointer(place) {
                Some(Value::String(text)) => text.clone(),
                Some(value) if !value.is_null() => value.to_string(),
                _ => return Err(format!("{} {path}: nothing at {place}: {}", line.method, answer.body)),
            };
            self.names.insert((*name).to_owned(), value);
        }
        Ok(answer)
    }
}
