//! What a Liquid template names: every `person.email` and `audience['unhappy'].status` in it, as origins.
//!
//! Names must be written out. A template that takes `person` as a whole, or picks from it by a variable, is refused: nobody
//! could say what it gives away, nor which changes concern it.

use super::source::origin;
use crate::model::activation::{AudiencePart, Origin, RollupPart};
use std::collections::BTreeSet;

/// The objects a template may name.
pub const ROOTS: [&str; 5] = ["person", "summary", "rollup", "audience", "row"];

/// Longest template, in characters.
pub const LONGEST: usize = 10_000;

/// What an origin looks at: itself, or what its template names. A template that was read before is always understood.
pub fn looks_at(of: &Origin) -> Vec<Origin> {
    match of {
        Origin::Template(text) => mentions(text).unwrap_or_default(),
        other => vec![other.clone()],
    }
}

/// All that a template names, each once; or what is wrong with it.
pub fn mentions(text: &str) -> Result<Vec<Origin>, String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for code in tags(text)? {
        for (root, name) in names(code)? {
            if seen.insert((root, name.clone())) {
                found.push(mentioned(root, &name)?);
            }
        }
    }
    Ok(found)
}

/// The inside of each `{{ … }}` and `{% … %}`.
fn tags(text: &str) -> Result<Vec<&str>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let Some(at) = ["{{", "{%"].iter().filter_map(|open| rest.find(open)).min() else { return Ok(found) };
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let inside = &rest[at + 2..];
        let Some(end) = inside.find(close) else {
            return Err(format!("a tag is opened and not closed by {close}"));
        };
        found.push(&inside[..end]);
        rest = &inside[end + 2..];
    }
}

/// The names of our objects in one tag: the object and what is taken from it.
fn names(code: &str) -> Result<Vec<(&'static str, String)>, String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut found = Vec::new();
    let mut rest = code;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            rest = quoted(rest)?.1;
            before = first;
            continue;
        }
        if !is_word(first) {
            rest = &rest[first.len_utf8()..];
            before = if first.is_whitespace() { before } else { first };
            continue;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start();
        // `x.person` is a member of something else, and `person:` names a filter's option.
        let ours = ROOTS.into_iter().find(|root| *root == word.trim_matches('-'));
        rest = after;
        if let Some(root) = ours.filter(|_| before != '.' && !after.starts_with(':')) {
            let (name, further) = member(root, after)?;
            found.push((root, name));
            rest = further;
        }
        before = 'w';
    }
    Ok(found)
}

/// What is taken from an object: `.name`, `['name']` or `["name"]`.
fn member<'a>(root: &str, after: &'a str) -> Result<(String, &'a str), String> {
    let written_out =
        || format!("{root} must be followed by a name that is written out: {root}.name or {root}['a.name']");
    if let Some(rest) = after.strip_prefix('.') {
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        return if end == 0 {
            Err(written_out())
        } else {
            Ok((rest[..end].trim_end_matches('-').to_owned(), &rest[end..]))
        };
    }
    let rest = after.strip_prefix('[').ok_or_else(written_out)?.trim_start();
    if !rest.starts_with(['"', '\'']) {
        return Err(written_out());
    }
    let (name, rest) = quoted(rest)?;
    let rest = rest.trim_start().strip_prefix(']').ok_or_else(written_out)?;
    Ok((name.to_owned(), rest))
}

/// A text in quotes and what follows it.
fn quoted(text: &str) -> Result<(&str, &str), String> {
    let mut chars = text.chars();
    let quote = chars.next().unwrap_or('"');
    chars.as_str().split_once(quote).ok_or_else(|| format!("a text is opened and not closed by {quote}"))
}

fn mentioned(root: &str, name: &str) -> Result<Origin, String> {
    let unknown = || format!("{root} has no {name:?}");
    match root {
        "person" => {
            origin(name).filter(|origin| matches!(origin, Origin::Field(_) | Origin::FullName)).ok_or_else(unknown)
        }
        "summary" => match origin(&format!("zd.{}", name.trim_start_matches("zd."))) {
            Some(Origin::Field(field @ crate::model::filter::Field::Summary(_))) => Ok(Origin::Field(field)),
            _ => Err(unknown()),
        },
        "rollup" => Ok(Origin::Rollup(name.to_owned(), RollupPart::Count)),
        "audience" => Ok(Origin::Audience(name.to_owned(), AudiencePart::Status)),
        _ => Ok(Origin::Column(name.to_owned())),
    }
}
