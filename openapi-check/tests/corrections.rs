//! The list of known errors of Zendesk's OpenAPI is honest: each entry says what the document says, and its evidence shows it.
//! (That each is needed is held where answers are judged.)
use openapi_check::zendesk::{self, CORRECTIONS, Correction, Evidence, PARAMETERS, SUPPLEMENT};
use openapi_check::{Judge, from_yaml};
use serde_json::Value;

fn published() -> Option<Value> {
    zendesk::published().inspect_err(|why| println!("skipped: {why}")).ok()
}

#[test]
fn each_says_what_the_document_says() {
    let Some(document) = published() else { return };
    let mut faults = Vec::new();
    for correction in CORRECTIONS {
        let says = document.pointer(&correction.at()).cloned();
        if document.pointer(&correction.place()).is_none() || plain(says.clone()) != correction.says() {
            faults.push(format!("{}: {says:?}", correction.at()));
        }
        if correction.is().is_none() {
            faults.push(format!("{}: what is true is no JSON", correction.at()));
        }
    }
    assert!(faults.is_empty(), "the document says something else: {faults:#?}");
}

/// Without descriptions, which an entry does not repeat.
fn plain(value: Option<Value>) -> Option<Value> {
    let mut value = value?;
    if let Value::Object(map) = &mut value {
        map.remove("description");
        for member in map.values_mut() {
            *member = plain(Some(member.take())).unwrap_or_default();
        }
    }
    Some(value)
}

#[test]
fn each_has_its_evidence() {
    let Some(document) = published() else { return };
    let corpus = zendesk::shared().join("corpus");
    let notes = std::fs::read_to_string(zendesk::shared().join("reference/zendesk-api.md"));
    let (Ok(notes), true) = (notes, corpus.is_dir()) else {
        println!("skipped: neither recordings nor notes beside the project");
        return;
    };
    let places: Vec<_> = CORRECTIONS.iter().map(Correction::place).collect();
    let all = Judge::only(zendesk::corrected(document.clone(), |_| true), &places).expect("schemas");
    let mut faults = Vec::new();
    for (index, correction) in CORRECTIONS.iter().enumerate() {
        let without = zendesk::corrected(document.clone(), |other| other != index);
        let without = Judge::only(without, &[correction.place()]).expect("a schema");
        for evidence in correction.evidence {
            let shown = match evidence {
                Evidence::Noted(section, words) => noted(&notes, *section).contains(words),
                Evidence::Described(words) => {
                    let schema = document.pointer(&correction.place()).expect("a schema");
                    schema["description"].as_str().is_some_and(|said| said.contains(words))
                }
                Evidence::Recorded(file, place) => {
                    let body = std::fs::read_to_string(corpus.join(file)).expect(file);
                    let body: Value = serde_json::from_str(&body).expect(file);
                    let value = body.pointer(place).unwrap_or_else(|| panic!("{file} has nothing at {place}"));
                    !fits(&without, correction, value) && fits(&all, correction, value)
                }
            };
            if !shown {
                faults.push(format!("{}: {evidence:?}", correction.at()));
            }
        }
        if correction.evidence.is_empty() {
            faults.push(format!("{}: none", correction.at()));
        }
    }
    assert!(faults.is_empty(), "no evidence: {faults:#?}");
}

fn fits(judge: &Judge, correction: &Correction, value: &Value) -> bool {
    judge.value(&correction.place(), value).is_empty()
}

/// A section of the notes.
fn noted(notes: &str, section: u8) -> &str {
    let from = notes.find(&format!("\n## {section}. ")).expect("the notes have the section") + 1;
    let until = notes[from..].find("\n## ").map_or(notes.len(), |end| from + end);
    &notes[from..until]
}

#[test]
fn the_supplement_and_the_parameters_have_sources() {
    let supplement = from_yaml(SUPPLEMENT).expect("YAML");
    for (path, item) in supplement["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations").iter().filter(|(key, _)| *key != "parameters")
        {
            let source = operation["x-source"].as_str().unwrap_or_default();
            let known = ["Z§", "https://developer.zendesk.com/api-reference/"];
            assert!(known.iter().any(|start| source.starts_with(start)), "{method} {path} has no source");
        }
    }
    assert!(PARAMETERS.iter().all(|parameter| parameter.source.starts_with("Z§")));
    let Some(document) = published() else { return };
    Judge::new(zendesk::with_supplement(document).expect("it only adds")).expect("schemas");
}
