//! Reads the recordings: single answers with the request that got them, and whole sessions in order.
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A request and what a real account answered.
#[derive(Debug)]
pub struct Exchange {
    /// The file of the answer, or the session and the place in it.
    pub name: String,
    /// GET, POST, … ; none where only the answer is known.
    pub method: Option<String>,
    /// Path and query.
    pub target: String,
    /// What was sent.
    pub sent: Option<Value>,
    /// The year of the recording, where it is known.
    pub year: Option<u16>,
    /// The status, where it is known.
    pub status: Option<u16>,
    /// What came; a text where it is not JSON.
    pub body: Value,
}

/// Where the recordings are; says so when they are not there.
pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let found = folder.join("MANIFEST.csv").is_file().then_some(folder);
    if found.is_none() {
        println!("skipped: no recordings at ../shared/corpus");
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of the manifest, by column. Its first fields have no commas in quotes.
fn manifest(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let text = read(&folder.join("MANIFEST.csv"));
    let mut lines = text.lines();
    let header: Vec<String> = lines.next().expect("a header").split(',').map(str::to_owned).collect();
    let row = |line: &str| header.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

/// Path and query of an address.
fn target(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or(String::new(), |at| rest[at..].to_owned())
}

fn year(text: &str) -> Option<u16> {
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    words.find(|word| word.len() == 4 && word.starts_with("20")).and_then(|word| word.parse().ok())
}

/// A body that was sent; the recorder cut long lists of records in their middle.
fn whole(text: &str) -> String {
    let is_cut = text.starts_with('{') && !text.ends_with('}');
    match text.rsplit_once("},").filter(|_| is_cut) {
        Some((records, _)) => format!("{records}}}]}}"),
        None => text.to_owned(),
    }
}

fn exchange(name: String, meta: &Value, body: &str) -> Exchange {
    let sent = meta["request"]["body"].as_str().and_then(|text| serde_json::from_str(&whole(text)).ok());
    Exchange {
        name,
        method: meta["request"]["method"].as_str().map(str::to_owned),
        target: target(meta["request"]["url"].as_str().unwrap_or_default()),
        sent,
        year: meta["recorded_at"].as_str().and_then(year),
        status: meta["response"]["status"].as_u64().map(|status| status as u16),
        body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
    }
}

/// Every recorded answer with a JSON body, with or without examples that were written by hand.
pub fn answers(folder: &Path, with_examples: bool) -> Vec<Exchange> {
    let recorded = |row: &BTreeMap<String, String>| {
        let wanted = with_examples || row["recorded|handwritten"] != "handwritten";
        row["kind"] == "api-response" && row["resource"] != "session" && row["file"].ends_with(".json") && wanted
    };
    let rows = manifest(folder).into_iter().filter(recorded);
    let load = |row: BTreeMap<String, String>| {
        let meta = read(&folder.join(row["file"].replace(".json", ".meta.json")));
        let meta = serde_json::from_str(&meta).expect("meta is JSON");
        exchange(row["file"].clone(), &meta, &read(&folder.join(&row["file"])))
    };
    rows.map(load).collect()
}

/// Every session: its name and its exchanges in order.
pub fn sessions(folder: &Path) -> Vec<(String, Vec<Exchange>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("sessions"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), session(folder, path)))
        .collect()
}

fn session(folder: &Path, path: &Path) -> Vec<Exchange> {
    let text = read(path);
    let one = |(place, line): (usize, &str)| {
        let meta: Value = serde_json::from_str(line).expect("a line is JSON");
        let body = read(&folder.join(meta["response"]["body_file"].as_str().expect("a body file")));
        exchange(format!("#{place}"), &meta, &body)
    };
    text.lines().enumerate().map(one).collect()
}
