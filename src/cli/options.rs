//! Options of a source by their dotted names: `field_policies.email=fill_empty`. Generic over what the settings hold, so
//! that a new option needs nothing here.

use super::error::usage;
use crate::model::activity::ActivityType;
use crate::model::retention::Group;
use crate::model::source::SourceSettings;
use serde_json::{Map, Value};

/// Options after `pairs` (`key=value`) were set, and the title when it was among them.
pub fn apply(settings: &SourceSettings, pairs: &[String]) -> anyhow::Result<(SourceSettings, Option<String>)> {
    let (mut settings, mut title) = (settings.clone(), None);
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(usage(
                format!("{pair:?} is not of the form key=value"),
                "write for example opt_in_email=true; see deskbridge source set --help",
            ));
        };
        let (key, text) = (key.trim(), text.trim());
        if key == "title" {
            if text.is_empty() {
                return Err(usage("title is empty", "give a name for people to read, such as title=\"Acme support\""));
            }
            title = Some(text.to_string());
        } else {
            settings = set(&settings, key, text)?;
        }
    }
    check_activity_types(&settings)?;
    Ok((settings, title))
}

/// One option set. The text is taken as the first thing that the option accepts: JSON, a word, a list of words.
fn set(settings: &SourceSettings, key: &str, text: &str) -> anyhow::Result<SourceSettings> {
    let whole = to_value(settings);
    let path: Vec<&str> = key.split('.').collect();
    if !whole.as_object().is_some_and(|options| options.contains_key(path[0])) {
        let names: Vec<&str> = whole.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        return Err(usage(
            format!("there is no option {:?}", path[0]),
            format!("options are: title, {}", names.join(", ")),
        ));
    }
    if text.is_empty() {
        return reset(whole, &path).ok_or_else(|| {
            usage(format!("{key} cannot be emptied"), "give a value; see deskbridge source set --help")
        });
    }
    let mut complaints = Vec::new();
    for value in readings(text) {
        let shape = shape(&value);
        let mut changed = whole.clone();
        if !put(&mut changed, &path, value) {
            return Err(usage(
                format!("{key}: {} has no parts", path[..path.len() - 1].join(".")),
                "leave out what stands after the last point",
            ));
        }
        match serde_json::from_value(changed) {
            Ok(settings) => return Ok(settings),
            Err(error) => complaints.push((shape, error.to_string())),
        }
    }
    let wanted = at(&whole, &path).map_or(Shape::Text, shape);
    let fitting = complaints
        .iter()
        .find(|(shape, _)| *shape == wanted)
        .or_else(|| complaints.iter().find(|(shape, _)| *shape == Shape::Text));
    let why = fitting.or(complaints.first()).map_or("", |(_, why)| why.as_str());
    Err(usage(
        format!("{key}={text} cannot be: {why}"),
        "see deskbridge source set --help for the options and their values",
    ))
}

/// What kind of value stands or is wanted somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    List,
    Other,
}

fn shape(value: &Value) -> Shape {
    match value {
        Value::String(_) | Value::Null | Value::Object(_) => Shape::Text,
        Value::Array(_) => Shape::List,
        Value::Bool(_) | Value::Number(_) => Shape::Other,
    }
}

/// What a text may mean.
fn readings(text: &str) -> Vec<Value> {
    let word = |text: &str| Value::String(text.trim().to_string());
    let mut all: Vec<Value> = serde_json::from_str(text).into_iter().collect();
    all.extend(match text {
        "yes" | "on" => Some(Value::Bool(true)),
        "no" | "off" => Some(Value::Bool(false)),
        _ => None,
    });
    all.push(word(text));
    all.push(Value::Array(text.split(',').map(word).filter(|word| word != "").collect()));
    all
}

fn to_value(settings: &SourceSettings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| value.get(part))
}

/// Puts a value at a path. False when something on the way is neither an object nor empty.
fn put(value: &mut Value, path: &[&str], new: Value) -> bool {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return true;
    };
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value.as_object_mut() {
        Some(object) => put(object.entry(*first).or_insert(Value::Null), rest, new),
        None => false,
    }
}

/// The default at a path; an entry that has none is taken away.
fn reset(mut whole: Value, path: &[&str]) -> Option<SourceSettings> {
    let default = to_value(&SourceSettings::default());
    match at(&default, path) {
        Some(value) => _ = put(&mut whole, path, value.clone()),
        None => {
            let (last, way) = path.split_last()?;
            let parent = way.iter().try_fold(&mut whole, |value, part| value.get_mut(part))?;
            parent.as_object_mut()?.remove(*last);
        }
    }
    serde_json::from_value(whole).ok()
}

/// The list of activity types is text, as imports bring their own: a word that can be none of ours is a slip.
fn check_activity_types(settings: &SourceSettings) -> anyhow::Result<()> {
    let known = |text: &str| Group::parse(text).is_some() || ActivityType::ALL.iter().any(|kind| kind.as_str() == text);
    let slip = settings
        .retention
        .activity_types
        .iter()
        .find(|text| !known(text) && (text.starts_with("zd.") || !text.contains('.')));
    match slip {
        None => Ok(()),
        Some(slip) => {
            let groups: Vec<&str> = Group::ALL.iter().map(|group| group.as_str()).collect();
            Err(usage(
                format!("retention.activity_types: {slip:?} is no group and no type of activity"),
                format!("groups are {}; single types are written like zd.ticket.solved", groups.join(", ")),
            ))
        }
    }
}

/// Every option with its value, by dotted name.
pub fn flatten(settings: &SourceSettings) -> Vec<(String, String)> {
    let mut all = Vec::new();
    walk("", &to_value(settings), &mut all);
    all
}

/// The options that differ from the defaults.
pub fn changed(settings: &SourceSettings) -> Vec<(String, String)> {
    let defaults = flatten(&SourceSettings::default());
    flatten(settings).into_iter().filter(|option| !defaults.contains(option)).collect()
}

fn walk(name: &str, value: &Value, all: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(parts) if !parts.is_empty() => {
            for (part, value) in parts {
                let name = if name.is_empty() { part.clone() } else { format!("{name}.{part}") };
                walk(&name, value, all);
            }
            return;
        }
        Value::Object(_) | Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let words: Vec<String> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_string)).collect();
            words.join(",")
        }
        other => other.to_string(),
    };
    all.push((name.to_string(), text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::error::render;
    use crate::model::field::{FieldPolicy, SystemField};
    use crate::model::name::NameSplitting;
    use crate::model::retention::Keep;
    use crate::model::stream::Stream;

    fn set_all(pairs: &[&str]) -> anyhow::Result<SourceSettings> {
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        apply(&SourceSettings::default(), &pairs).map(|(settings, _)| settings)
    }

    #[test]
    fn options_are_set_by_their_names() {
        let settings = set_all(&[
            "name_splitting=smart",
            "field_policies.email=fill_empty",
            "retention.extended=365",
            "retention.activity_types=tickets, comments",
            "every_secs.tickets=60",
            "skip_streams=satisfaction",
            "opt_in_email=yes",
            "requests_per_minute=400",
            "identifiers=[\"email\",\"phone\"]",
        ])
        .expect("all are right");
        assert_eq!(settings.name_splitting, NameSplitting::Smart);
        assert_eq!(settings.field_policies.get(&SystemField::Email), Some(&FieldPolicy::FillEmpty));
        assert_eq!(settings.retention.extended, Some(Keep::Days(365)));
        assert_eq!(settings.retention.activity_types, ["tickets", "comments"]);
        assert_eq!(settings.every_secs.get(&Stream::Tickets), Some(&60));
        assert_eq!(settings.skip_streams, [Stream::Satisfaction]);
        assert!(settings.opt_in_email);
        assert_eq!(settings.requests_per_minute, Some(400));
        assert_eq!(settings.identifiers.len(), 2);
    }

    #[test]
    fn an_empty_value_is_the_default_again() {
        let settings = set_all(&[
            "every_secs.tickets=60",
            "every_secs.tickets=",
            "skip_streams=tickets,users",
            "skip_streams=",
            "retention.extended=forever",
            "retention.extended=",
            "opt_in_sms=true",
            "opt_in_sms=",
        ]);
        assert_eq!(settings.expect("all are right"), SourceSettings::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (pair, words) in [
            ("name_spliting=smart", "there is no option \"name_spliting\""),
            ("name_splitting=clever", "expected `compat` or `smart`"),
            ("field_policies.emial=never", "expected one of `first_name`"),
            ("field_policies.email=sometimes", "expected one of `overwrite`"),
            ("every_secs.tickets=soon", "expected u64"),
            ("skip_streams=tikets", "unknown variant `tikets`"),
            ("retention.default=0", "at least 1"),
            ("retention.days=5", "unknown field `days`"),
            ("retention.activity_types=tikets", "groups are tickets"),
            ("retention.activity_types=zd.ticket.sovled", "no type of activity"),
            ("opt_in_email=maybe", "expected a boolean"),
            ("opt_in_email.x=1", "has no parts"),
            ("opt_in_email", "key=value"),
            ("title=", "title is empty"),
        ] {
            let error = set_all(&[pair]).expect_err(pair);
            assert!(render(&error).contains(words), "{pair}: {}", render(&error));
        }
    }

    #[test]
    fn what_differs_from_the_defaults_is_shown() {
        let settings = set_all(&["skip_streams=tickets,users", "retention.extended=forever"]).expect("all are right");
        let shown: Vec<String> = changed(&settings).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["retention.extended=forever", "skip_streams=tickets,users"]);
    }
}
