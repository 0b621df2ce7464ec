//! `[[map]]` and `[[tag]]` of an activation's file.

use super::ground::Ground;
use super::mention;
use super::place::{Place, ReadError, audience_name, short, word};
use super::source::{ORIGINS, origin};
use super::target::{tag, target_field};
use crate::model::activation::{AudiencePart, Mapping, Origin, Tag, Target};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most mappings and tags.
const MOST: (usize, usize) = (200, 50);

const SOURCES: [&str; 4] = ["from", "audience", "template", "value"];

/// All mappings, each target field once.
pub fn mappings(root: &Place<'_>, ground: &Ground<'_>) -> Result<Vec<Mapping>, ReadError> {
    let Some(list) = root.get("map") else { return Ok(Vec::new()) };
    let items = list.items()?;
    if items.len() > MOST.0 {
        return Err(list.problem(format!("{} mappings; at most {} are possible", items.len(), MOST.0)));
    }
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::new();
    for item in &items {
        for (key, mapping) in mapping(item, ground)? {
            if let Some(first) = given.insert(mapping.to.clone(), format!("{}.{key}", item.path)) {
                return Err(item.problem_at(key, format!("{:?} is given by {first} already", mapping.to)));
            }
            all.push(mapping);
        }
    }
    Ok(all)
}

/// One table: a mapping, and for an audience one for each of its dates; each with the key that names its target field.
fn mapping(place: &Place<'_>, ground: &Ground<'_>) -> Result<Vec<(&'static str, Mapping)>, ReadError> {
    place.only(&["to", "from", "audience", "template", "value", "write", "conflict", "entered_to", "exited_to"])?;
    let to = place.need("to", "the target field")?;
    let mut sources = SOURCES.into_iter().filter_map(|key| Some((key, place.get(key)?)));
    let (Some((key, source)), None) = (sources.next(), sources.next()) else {
        return Err(place.problem(format!("expected exactly one of {}", SOURCES.join(", "))));
    };
    let write = place
        .get("write")
        .map_or(Ok(Default::default()), |at| word(&at, "\"always\", \"if_empty\" or \"never_clear\""))?;
    let conflict = place.get("conflict").map_or(Ok(Default::default()), |at| word(&at, "\"keep\" or \"overwrite\""))?;
    let one = |to: &Place<'_>, from: Origin| -> Result<Mapping, ReadError> {
        Ok(Mapping { to: target_field(to, ground.target)?, from, write, conflict })
    };
    let from = ground.hold(&source, read_origin(key, &source)?)?;
    let Origin::Audience(name, _) = &from else {
        return match ["entered_to", "exited_to"].into_iter().find_map(|key| place.get(key)) {
            Some(date) => Err(date.problem("stands beside \"audience\" only: it takes a date of that audience")),
            None => Ok(vec![("to", one(&to, from)?)]),
        };
    };
    let mut all = vec![("to", one(&to, from.clone())?)];
    for (key, part) in [("entered_to", AudiencePart::EnteredAt), ("exited_to", AudiencePart::ExitedAt)] {
        if let Some(to) = place.get(key) {
            all.push((key, one(&to, Origin::Audience(name.clone(), part))?));
        }
    }
    Ok(all)
}

fn read_origin(key: &str, place: &Place<'_>) -> Result<Origin, ReadError> {
    match key {
        "from" => origin(place.text()?).ok_or_else(|| place.wrong(ORIGINS)),
        "audience" => Ok(Origin::Audience(audience_name(place)?, AudiencePart::Status)),
        "template" => {
            let text = short(place, mention::LONGEST)?;
            mention::mentions(text).map_err(|problem| place.problem(problem))?;
            Ok(Origin::Template(text.to_owned()))
        }
        _ => constant(place),
    }
}

/// A text, number, truth value, or a list of texts.
fn constant(place: &Place<'_>) -> Result<Origin, ReadError> {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= mention::LONGEST);
    let fits = match place.value {
        Value::Bool(_) | Value::Number(_) => true,
        Value::Array(items) => items.len() <= 100 && items.iter().all(is_text),
        value => is_text(value),
    };
    match fits {
        true => Ok(Origin::Constant(place.value.clone())),
        false => Err(place.wrong("a text, a number, true or false, or a list of texts; a date is written as a text")),
    }
}

/// All tags, each once.
pub fn tags(root: &Place<'_>, ground: &Ground<'_>) -> Result<Vec<Tag>, ReadError> {
    let Some(list) = root.get("tag") else { return Ok(Vec::new()) };
    if ground.target == Target::SellContacts {
        return Err(
            list.problem("Zendesk Sell replaces all tags of a contact at once, so none of ours can be told apart")
        );
    }
    let items = list.items()?;
    if items.len() > MOST.1 {
        return Err(list.problem(format!("{} tags; at most {} are possible", items.len(), MOST.1)));
    }
    let mut seen = BTreeSet::new();
    let mut one = |item: &Place<'_>| {
        item.only(&["tag", "audience"])?;
        let place = item.need("tag", "the tag")?;
        let tag = tag(&place)?;
        if !seen.insert(tag.clone()) {
            return Err(place.problem(format!("{tag:?} stands here already")));
        }
        let Some(audience) = item.get("audience") else { return Ok(Tag { tag, audience: None }) };
        let name = audience_name(&audience)?;
        match ground.lacks_audience(&name) {
            Some(reason) => Err(audience.problem(reason)),
            None => Ok(Tag { tag, audience: Some(name) }),
        }
    };
    items.iter().map(&mut one).collect()
}
