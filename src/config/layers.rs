//! The layers of settings: gathers what the defaults, a file and the environment say, and everything wrong with it.

use std::{collections::BTreeMap, error::Error, io, path::Path};

use config::{Config, File, FileFormat, Source, Value, ValueKind};
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

const PREFIX: &str = "DESKBRIDGE__";
/// The one secret that is none when it has no password.
const DATABASE_URL: &str = "database.url";
/// Settings that may not stand in a file with the others.
const SECRETS: [&str; 6] = [
    "secret_key",
    "previous_secret_keys",
    DATABASE_URL,
    "alerts.webhook_url",
    "alerts.webhook_secret",
    "alerts.smtp_url",
];

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {0}; check --config or DESKBRIDGE_CONFIG")]
    Unreadable(String, #[source] io::Error),
    /// The settings file is not TOML.
    #[error("{0} is not valid TOML; correct it where the next line says")]
    Syntax(String, #[source] Box<dyn Error + Send + Sync>),
    /// All that is wrong, each with its key, where it came from and what would be right.
    #[error("the settings are wrong in {} place(s):{}", .0.len(), .0.iter().map(|p| format!("\n  {p}")).collect::<String>())]
    Wrong(Vec<Problem>),
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} ({origin}): {what}")]
pub struct Problem {
    /// The key's full name, such as `webhook.batch_events`.
    pub key: String,
    /// The file, the environment variable, or the defaults.
    pub origin: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Reads a file that holds a secret.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// The settings while they are gathered, and all that was found wrong on the way.
pub(super) struct Layers {
    defaults: String,
    /// Every key there is, with its default.
    known: BTreeMap<String, Value>,
    /// What the file and the environment set, with where it came from.
    set: BTreeMap<String, (String, ValueKind)>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Begins with the defaults, which also say which keys there are and of which type.
    pub(super) fn new(defaults: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            defaults: defaults.to_owned(),
            known: leaves("the defaults", defaults)?,
            set: BTreeMap::new(),
            problems: Vec::new(),
        })
    }

    fn problem(&mut self, key: &str, origin: &str, what: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), origin: origin.to_owned(), what: what.into() });
    }

    /// Lays the settings file over what is there.
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let origin = format!("settings file {name}");
        for (key, value) in leaves(&origin, text)? {
            let secret = key.strip_suffix("_file").unwrap_or(&key);
            if SECRETS.contains(&secret) && !is_plain_url(&key, &value) {
                let what = format!(
                    "is a secret and may not stand in this file; remove it there and set {0} or {0}_FILE",
                    variable_of(secret)
                );
                self.problem(&key, &origin, what);
                continue;
            }
            self.add(key, origin.clone(), |default| fitting(default, value.kind));
        }
        Ok(())
    }

    /// Lays the environment over what is there.
    pub(super) fn add_environment(&mut self, environment: &BTreeMap<String, String>) {
        for (variable, text) in environment {
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let key = name.to_lowercase().replace("__", ".");
            if !SECRETS.contains(&key.strip_suffix("_file").unwrap_or(&key)) {
                let origin = format!("environment variable {variable}");
                self.add(key, origin, |default| fitting(default, parsed(default, text)));
            }
        }
    }

    fn add(&mut self, key: String, origin: String, value: impl FnOnce(&ValueKind) -> Result<ValueKind, String>) {
        match self.known.get(&key).map(|default| value(&default.kind)) {
            Some(Ok(kind)) => drop(self.set.insert(key, (origin, kind))),
            Some(Err(what)) => self.problem(&key, &origin, what),
            None => self.problem(&key, &origin, self.unknown(&key)),
        }
    }

    fn unknown(&self, key: &str) -> String {
        let (section, _) = key.split_once('.').unwrap_or((key, ""));
        let in_section = |known: &&String| known.split('.').next() == Some(section);
        let keys: Vec<&str> =
            self.known.keys().filter(in_section).filter_map(|known| known.split('.').nth(1)).collect();
        if !keys.is_empty() {
            return format!("no such key; [{section}] has {}", keys.join(", "));
        }
        let mut sections: Vec<&str> = self.known.keys().filter_map(|known| known.split('.').next()).collect();
        sections.dedup();
        format!("no such section; there are {}", sections.join(", "))
    }

    /// A secret from its variable, or from the file that the variable with `_FILE` names.
    pub(super) fn secret(
        &mut self,
        key: &str,
        environment: &BTreeMap<String, String>,
        read: ReadFile<'_>,
    ) -> Option<Zeroizing<String>> {
        let variable = variable_of(key);
        let file_variable = format!("{variable}_FILE");
        let given = |name: &str| environment.get(name).filter(|text| !text.trim().is_empty());
        let what = match (given(&variable), given(&file_variable)) {
            (None, None) => return None,
            (Some(text), None) => return Some(text.trim().to_owned().into()),
            (Some(_), Some(_)) => format!("{variable} is set too; unset one of the two"),
            (None, Some(path)) => match read(Path::new(path)).map(Zeroizing::new) {
                Ok(text) if !text.trim().is_empty() => return Some(text.trim().to_owned().into()),
                Ok(_) => format!("the file {path} is empty; put the secret in it"),
                Err(error) => {
                    format!("cannot read the file {path}: {error}; check its path and permissions")
                }
            },
        };
        self.problem(key, &format!("environment variable {file_variable}"), what);
        None
    }

    /// Puts a secret that was found in its place among the settings.
    pub(super) fn put_secret(&mut self, key: &str, secret: &str) {
        let value = (format!("environment variable {}", variable_of(key)), secret.into());
        self.set.insert(key.to_owned(), value);
    }

    /// One section as its type; `None` when a problem was noted.
    pub(super) fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let read = || -> Result<T, config::ConfigError> {
            let mut builder = Config::builder().add_source(File::from_str(&self.defaults, FileFormat::Toml));
            for (key, (origin, kind)) in &self.set {
                builder = builder.set_override(key, Value::new(Some(origin), kind.clone()))?;
            }
            builder.build()?.get::<Value>(name)?.try_deserialize()
        };
        match read() {
            Ok(section) => Some(section),
            Err(error) => {
                let (key, what) = reason(error);
                let key = format!("{name}.{key}");
                self.problem(&key, &self.origin(&key), what);
                None
            }
        }
    }

    /// Notes a problem with `key` unless it is `right`.
    pub(super) fn require(&mut self, right: bool, key: &str, what: impl Into<String>) {
        if !right {
            self.problem(key, &self.origin(key), what);
        }
    }

    fn origin(&self, key: &str) -> String {
        self.set.get(key).map_or_else(|| "the defaults".to_owned(), |(origin, _)| origin.clone())
    }

    /// Whether nothing is wrong so far; otherwise all that is.
    pub(super) fn verdict(&mut self) -> Result<(), ConfigError> {
        match std::mem::take(&mut self.problems) {
            none if none.is_empty() => Ok(()),
            problems => Err(ConfigError::Wrong(problems)),
        }
    }
}

/// Every value of a TOML text under its full key; an empty table that has no right to be there counts as a value.
fn leaves(origin: &str, text: &str) -> Result<BTreeMap<String, Value>, ConfigError> {
    let tables = File::from_str(text, FileFormat::Toml)
        .collect()
        .map_err(|error| ConfigError::Syntax(origin.to_owned(), Box::new(error)))?;
    let mut open: Vec<(String, Value)> = tables.into_iter().collect();
    let mut found = BTreeMap::new();
    while let Some((key, value)) = open.pop() {
        match value.kind {
            ValueKind::Table(table) => {
                open.extend(table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            _ => drop(found.insert(key, value)),
        }
    }
    Ok(found)
}

/// The value, if it is of the default's type; else what it should have been.
fn fitting(default: &ValueKind, value: ValueKind) -> Result<ValueKind, String> {
    use ValueKind::{Array, Boolean, Float, I64, String as Text};
    let is_text = |value: &Value| matches!(value.kind, Text(_));
    let (fits, expected) = match (default, &value) {
        (Boolean(_), given) => (matches!(given, Boolean(_)), "must be true or false"),
        (I64(_), given) => (matches!(given, I64(number) if *number >= 0), "must be a whole number, 0 or more"),
        (Float(_), given) => (matches!(given, Float(_) | I64(_)), "must be a number"),
        (Array(_), Array(items)) => (items.iter().all(is_text), "must be a list of texts"),
        (Array(_), _) => (false, "must be a list of texts"),
        (_, given) => (matches!(given, Text(_)), "must be a text in quotes"),
    };
    fits.then_some(value).ok_or_else(|| expected.to_owned())
}

/// A variable's text read as the default's type, or as it stands when it cannot be.
fn parsed(default: &ValueKind, text: &str) -> ValueKind {
    let trimmed = text.trim();
    let value = match default {
        ValueKind::Boolean(_) => trimmed.parse().ok().map(ValueKind::Boolean),
        ValueKind::I64(_) => trimmed.parse().ok().map(ValueKind::I64),
        ValueKind::Float(_) => trimmed.parse().ok().map(ValueKind::Float),
        ValueKind::Array(_) => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(ValueKind::Array(items.map(Value::from).collect()))
        }
        _ => None,
    };
    value.unwrap_or_else(|| ValueKind::String(trimmed.to_owned()))
}

/// The key within its section and the words of an error of the `config` crate.
fn reason(error: config::ConfigError) -> (String, String) {
    match error {
        config::ConfigError::At { error, key, .. } => (key.unwrap_or_default(), error.to_string()),
        config::ConfigError::Type { key, unexpected, expected, .. } => {
            (key.unwrap_or_default(), format!("is {unexpected}, must be {expected}"))
        }
        other => (String::new(), other.to_string()),
    }
}

/// Whether this is the database's URL, and without a password.
fn is_plain_url(key: &str, value: &Value) -> bool {
    let ValueKind::String(text) = &value.kind else {
        return false;
    };
    key == DATABASE_URL
        && match Url::parse(text) {
            Ok(url) => url.password().is_none() && url.query_pairs().all(|(name, _)| name != "password"),
            Err(_) => text.is_empty(),
        }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "[database]\nurl = ''\n\
        [worker]\nconcurrency = 4\nlease_secs = 60\nshare = 0.5\nnames = []\nprivate = false";

    /// Checks that all of these problems are found, in this order, and nothing else.
    #[track_caller]
    fn check(file: &str, environment: &[(&str, &str)], expected: &[&str]) {
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut layers = Layers::new(DEFAULTS).unwrap();
        layers.add_file("my.toml", file).unwrap();
        layers.add_environment(&environment);
        for key in SECRETS {
            layers.secret(key, &environment, &|_| Err(io::ErrorKind::NotFound.into()));
        }
        let found: Vec<String> = layers.problems.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nnot {expected}");
        }
    }

    #[test]
    fn unknown_keys_are_all_named() {
        check(
            "speed = 1\n[worker]\nconcurency = 1\n[webhooks]\nqueue = 1\n",
            &[("DESKBRIDGE__SECRETKEY", "x"), ("DESKBRIDGE_PORT", "Kubernetes sets such")],
            &[
                "speed (settings file my.toml): no such section; there are database, worker",
                "webhooks.queue (settings file my.toml): no such section",
                "worker.concurency (settings file my.toml): no such key; [worker] has concurrency, lease_secs",
                "secretkey (environment variable DESKBRIDGE__SECRETKEY): no such section",
            ],
        );
    }

    #[test]
    fn wrong_types_are_all_named() {
        check(
            "[worker]\nconcurrency = -1\nlease_secs = '60'\nshare = 1\nnames = [1]\nprivate = 'no'",
            &[
                ("DESKBRIDGE__WORKER__CONCURRENCY", "soon"),
                ("DESKBRIDGE__WORKER__LEASE_SECS", ""),
                ("DESKBRIDGE__WORKER__NAMES", ""),
                ("DESKBRIDGE__WORKER__PRIVATE", "yes"),
                ("DESKBRIDGE__WORKER__SHARE", "half"),
            ],
            &[
                "worker.concurrency (settings file my.toml): must be a whole number, 0 or more",
                "worker.lease_secs (settings file my.toml): must be a whole number",
                "worker.names (settings file my.toml): must be a list of texts",
                "worker.private (settings file my.toml): must be true or false",
                "worker.concurrency (environment variable DESKBRIDGE__WORKER__CONCURRENCY): must be a whole",
                "worker.lease_secs (environment variable DESKBRIDGE__WORKER__LEASE_SECS): must be a whole",
                "worker.private (environment variable DESKBRIDGE__WORKER__PRIVATE): must be true or false",
                "worker.share (environment variable DESKBRIDGE__WORKER__SHARE): must be a number",
            ],
        );
    }

    #[test]
    fn secrets_have_their_own_place() {
        check("[database]\nurl = 'postgres://me@db/cdp'", &[], &[]);
        check(
            "secret_key = 'x'\n[database]\nurl = 'postgres://me:pw@db/cdp'\nurl_file = 'a'",
            &[
                ("DESKBRIDGE__SECRET_KEY", "x"),
                ("DESKBRIDGE__SECRET_KEY_FILE", "/run/secrets/key"),
                ("DESKBRIDGE__PREVIOUS_SECRET_KEYS_FILE", "/nowhere"),
            ],
            &[
                "database.url (settings file my.toml): is a secret",
                "database.url_file (settings file my.toml): is a secret",
                "secret_key (settings file my.toml): is a secret and may not stand in this file; remove it there and \
                 set DESKBRIDGE__SECRET_KEY or DESKBRIDGE__SECRET_KEY_FILE",
                "secret_key (environment variable DESKBRIDGE__SECRET_KEY_FILE): DESKBRIDGE__SECRET_KEY is set too",
                "previous_secret_keys (environment variable DESKBRIDGE__PREVIOUS_SECRET_KEYS_FILE): cannot read the",
            ],
        );
    }

    #[test]
    fn broken_toml_names_its_file() {
        let mut layers = Layers::new(DEFAULTS).unwrap();
        let error = layers.add_file("my.toml", "x = ").unwrap_err();
        assert!(error.to_string().starts_with("settings file my.toml is not valid TOML"));
    }
}
