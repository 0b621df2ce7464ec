//! Judges the recorded answers by Zendesk's document and prints, for each rule that one breaks, how often and where first:
//! the evidence that a correction needs.
use openapi_check::zendesk::{self, Exchange};
use openapi_check::{Judge, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = zendesk::shared().join("corpus");
    let published = zendesk::published()?;
    let document = if std::env::args().any(|word| word == "--corrected") {
        zendesk::corrected(published, |_| true)
    } else {
        published
    };
    let judge = Judge::new(document)?;
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.csv"))?;
    for file in manifest.lines().skip(1).filter_map(|line| line.split(',').next()) {
        let Some(exchange) = recorded(&folder, file) else { continue };
        let path = zendesk::plain(&exchange.path);
        let verdict = judge.response(&exchange.method, path, exchange.status, "application/json", &exchange.body);
        if let Verdict::Judged(_, findings) = verdict {
            for finding in findings {
                let first = format!("{file} {}", finding.at);
                found.entry(format!("{}: {}", finding.rule, finding.what)).or_insert((0, first)).0 += 1;
            }
        }
    }
    for (rule, (count, first)) in found {
        writeln!(std::io::stdout(), "{rule}\t{count}\t{first}")?;
    }
    Ok(())
}

/// The exchange that a recorded body belongs to.
fn recorded(folder: &Path, file: &str) -> Option<Exchange> {
    let body = std::fs::read(folder.join(file)).ok()?;
    let meta = std::fs::read(folder.join(file.replace(".json", ".meta.json"))).ok()?;
    let meta: Value = serde_json::from_slice(&meta).ok()?;
    let url = meta["request"]["url"].as_str()?;
    let path = url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or(url);
    Some(Exchange {
        method: meta["request"]["method"].as_str()?.to_owned(),
        path: path.to_owned(),
        status: meta["response"]["status"].as_u64()? as u16,
        kind: String::new(),
        body,
    })
}
