//! The rows of a file, whichever its format: each a list of what its columns mean and what stands in them.

use super::lines::{Csv, Got, Lines};
use super::mapping::{Mapping, MappingError, Target};
use crate::model::email::Email;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::Arc;

/// How many different keys of NDJSON are remembered.
const MAX_KEYS: usize = 4096;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Rows of cells, the first of which names the columns.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// Something in a file that could not be used. Never holds the value itself: that may be personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, from 1 on.
    pub line: u64,
    /// What it is about; empty for the whole row.
    pub column: String,
    /// What is wrong, and what was done instead.
    pub reason: String,
}

/// A row.
#[derive(Debug, Default)]
pub struct Row {
    /// The line it begins at.
    pub line: u64,
    /// What stands in it. `null` clears; what is absent is not in the list.
    pub cells: Vec<(Arc<Target>, Value)>,
    /// What stands in the column that names records.
    pub key: Option<Value>,
    /// What could not be read of it.
    pub faults: Vec<Fault>,
}

/// What was read.
pub enum Item {
    /// A row.
    Row(Row),
    /// Something that is none.
    Bad(Fault),
    /// Nothing: the file has ended.
    End,
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk, or the name.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What the columns mean.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// UTF-16 and the like.
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    /// No header.
    #[error("the file's first line does not name its columns: {0}")]
    Header(&'static str),
}

/// How a file is read.
#[derive(Debug, Clone)]
pub struct How {
    /// Its format.
    pub format: Format,
    /// What its columns mean.
    pub mapping: Mapping,
    /// The column that names records.
    pub key: Option<String>,
    /// An empty cell clears instead of saying nothing.
    pub clear_empty: bool,
}

/// Reads the rows of a file.
pub struct Rows<R> {
    how: How,
    source: Source<R>,
}

enum Source<R> {
    Csv { csv: Box<Csv<R>>, columns: Vec<Arc<Target>>, header: Vec<String>, key: Option<usize> },
    Ndjson { lines: Lines<R>, line: Vec<u8>, targets: HashMap<String, Option<Arc<Target>>> },
}

impl<R: BufRead> Rows<R> {
    /// Begins to read: of a CSV file its header.
    pub fn new(mut input: R, how: How) -> Result<Rows<R>, ReadError> {
        let start = input.fill_buf()?;
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Err(ReadError::Utf16);
        }
        let lines = Lines::new(input);
        let source = match how.format {
            Format::Csv => csv(lines, &how)?,
            Format::Ndjson => Source::Ndjson { lines, line: Vec::new(), targets: HashMap::new() },
        };
        Ok(Rows { how, source })
    }

    /// The columns of a CSV file and what each means.
    pub fn columns(&self) -> Vec<(String, String)> {
        match &self.source {
            Source::Csv { columns, header, .. } => {
                header.iter().cloned().zip(columns.iter().map(ToString::to_string)).collect()
            }
            Source::Ndjson { .. } => Vec::new(),
        }
    }

    /// Bytes taken from the file.
    pub fn bytes(&self) -> u64 {
        match &self.source {
            Source::Csv { csv, .. } => csv.bytes(),
            Source::Ndjson { lines, .. } => lines.bytes,
        }
    }

    /// Reads the next row.
    pub fn advance(&mut self) -> io::Result<Item> {
        match &mut self.source {
            Source::Csv { csv, columns, header, key } => Ok(match csv.advance()? {
                Got::End => Item::End,
                Got::Bad(line, reason) => bad(line, reason),
                Got::Row(line) => match cells(csv, columns, header, *key, self.how.clear_empty) {
                    Ok(row) => Item::Row(Row { line, ..row }),
                    Err((column, reason)) => Item::Bad(Fault { line, column, reason }),
                },
            }),
            Source::Ndjson { lines, line, targets } => loop {
                let number = match lines.read(line)? {
                    Got::End => return Ok(Item::End),
                    Got::Bad(number, reason) => return Ok(bad(number, reason)),
                    Got::Row(number) => number,
                };
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(match object(line) {
                    Ok(object) => Item::Row(members(number, object, &self.how, targets)),
                    Err(reason) => bad(number, reason),
                });
            },
        }
    }
}

fn bad(line: u64, reason: &str) -> Item {
    Item::Bad(Fault { line, column: String::new(), reason: reason.to_owned() })
}

fn csv<R: BufRead>(lines: Lines<R>, how: &How) -> Result<Source<R>, ReadError> {
    let mut csv = Box::new(Csv::new(lines)?);
    match csv.advance()? {
        Got::Row(_) => {}
        Got::Bad(_, reason) => return Err(ReadError::Header(reason)),
        Got::End => return Err(ReadError::Header("the file is empty")),
    }
    let header: Result<Vec<String>, _> = csv.cells().map(|cell| std::str::from_utf8(cell).map(str::to_owned)).collect();
    let header = header.map_err(|_| ReadError::Header("it is not UTF-8"))?;
    if header.iter().any(|column| Email::parse(column).is_ok()) {
        return Err(ReadError::Header("an e-mail address stands in it"));
    }
    let columns = how.mapping.columns(&header)?.into_iter().map(Arc::new).collect();
    let place = |wanted: &str| header.iter().position(|column| column.trim() == wanted.trim());
    let key = match &how.key {
        None => None,
        Some(wanted) => Some(place(wanted).ok_or_else(|| MappingError::NoColumn(wanted.clone(), header.join(", ")))?),
    };
    Ok(Source::Csv { csv, columns, header, key })
}

/// The cells of the row that was just read.
fn cells<R: BufRead>(
    csv: &Csv<R>,
    columns: &[Arc<Target>],
    header: &[String],
    key: Option<usize>,
    clear_empty: bool,
) -> Result<Row, (String, String)> {
    if csv.width() != columns.len() {
        let reason = format!("{} cells where the header has {}; left out", csv.width(), columns.len());
        return Err((String::new(), reason));
    }
    let mut row = Row::default();
    for (index, (cell, target)) in csv.cells().zip(columns).enumerate() {
        let is_key = key == Some(index);
        if **target == Target::Ignore && !is_key {
            continue;
        }
        let text = std::str::from_utf8(cell).map_err(|_| (header[index].clone(), "not UTF-8; left out".to_owned()))?;
        let empty = text.trim().is_empty();
        if is_key && !empty {
            row.key = Some(Value::String(text.to_owned()));
        }
        match **target {
            Target::Ignore => {}
            _ if empty && clear_empty => row.cells.push((target.clone(), Value::Null)),
            _ if empty => {}
            _ => row.cells.push((target.clone(), Value::String(text.to_owned()))),
        }
    }
    Ok(row)
}

/// The object on a line.
fn object(line: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8; left out")?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("JSON that is no object; left out"),
        Err(error) if error.to_string().starts_with("number out of range") => {
            Err("a number that is too large; left out")
        }
        Err(_) => Err("not JSON; left out"),
    }
}

fn members(
    line: u64,
    object: Map<String, Value>,
    how: &How,
    targets: &mut HashMap<String, Option<Arc<Target>>>,
) -> Row {
    let mut row = Row { line, ..Row::default() };
    for (name, value) in object {
        if how.key.as_deref() == Some(name.as_str()) && !value.is_null() {
            row.key = Some(value.clone());
        }
        match value {
            Value::Object(inner) if is_group(&name) && how.mapping.said_of(&name).is_none() => {
                for (name, value) in flatten(&name, inner) {
                    member(&mut row, name, value, how, targets);
                }
            }
            value => member(&mut row, name, value, how, targets),
        }
    }
    row
}

/// Objects whose members are columns of their own.
fn is_group(name: &str) -> bool {
    matches!(name, "consent" | "organization" | "fields")
}

/// `{"consent": {"email": {"action": "grant"}}}` is `consent.email`, and so on.
fn flatten(group: &str, inner: Map<String, Value>) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in inner {
        match (group, value) {
            ("fields", value) => flat.push((format!("field.{name}"), value)),
            ("consent", Value::Object(parts)) => {
                flat.extend(parts.into_iter().map(|(part, value)| match part.as_str() {
                    "action" => (format!("consent.{name}"), value),
                    part => (format!("consent.{name}.{part}"), value),
                }))
            }
            (group, value) => flat.push((format!("{group}.{name}"), value)),
        }
    }
    flat
}

fn member(row: &mut Row, name: String, value: Value, how: &How, targets: &mut HashMap<String, Option<Arc<Target>>>) {
    let target = match targets.get(&name) {
        Some(known) => known.clone(),
        None => {
            let target = how.mapping.target(&name).ok().map(Arc::new);
            if targets.len() < MAX_KEYS {
                targets.insert(name.clone(), target.clone());
            }
            target
        }
    };
    match target {
        Some(target) if *target == Target::Ignore => {}
        Some(target) => row.cells.push((target, value)),
        None => row.faults.push(Fault {
            line: row.line,
            column: String::new(),
            reason: "a key that cannot be a field's (zd.*, empty, too long, or an unknown part of a consent); left out"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn how(format: Format, clear_empty: bool) -> How {
        How { format, mapping: Mapping::default(), key: None, clear_empty }
    }

    fn read(file: &[u8], how: How) -> Result<Vec<String>, ReadError> {
        let mut rows = Rows::new(file, how)?;
        let mut read = Vec::new();
        loop {
            match rows.advance()? {
                Item::End => return Ok(read),
                Item::Bad(fault) => read.push(format!("{}!{}:{}", fault.line, fault.column, fault.reason)),
                Item::Row(row) => {
                    let cells: Vec<String> =
                        row.cells.iter().map(|(target, value)| format!("{target}={value}")).collect();
                    read.push(format!("{}:{}{}", row.line, cells.join(" "), "!".repeat(row.faults.len())));
                }
            }
        }
    }

    fn check(file: &[u8], how: How, expected: &[&str]) {
        assert_eq!(read(file, how).expect("a file"), expected, "{:?}", String::from_utf8_lossy(file));
    }

    #[test]
    fn csv_cells() {
        let file = b"E-Mail;plan;\na@x.io; \n;gold;x\n\xFF;b;\nc@x.io;;\n";
        check(
            file,
            how(Format::Csv, false),
            &[
                "2!:2 cells where the header has 3; left out",
                "3:field.plan=\"gold\"",
                "4!E-Mail:not UTF-8; left out",
                "5:email=\"c@x.io\"",
            ],
        );
        check(b"email,plan\na,\n", how(Format::Csv, true), &["2:email=\"a\" field.plan=null"]);
    }

    #[test]
    fn ndjson_members() {
        let file = br#"{"email":"a@x.io","seats":3,"consent":{"email":{"action":"grant","at":"2024-01-01"},"sms":"deny"},"zd.x":1}
            [1]

{"organization":{"name":"Acme","domain":"acme.io"},"fields":{"a":null},"plan":{"b":1}}
{"a":1e400}
{"#;
        check(
            file,
            how(Format::Ndjson, false),
            &[
                r#"1:consent.email="grant" consent.email.at="2024-01-01" consent.sms="deny" email="a@x.io" field.seats=3!"#,
                "2!:JSON that is no object; left out",
                r#"4:field.a=null organization.domain="acme.io" organization="Acme" field.plan={"b":1}"#,
                "5!:a number that is too large; left out",
                "6!:not JSON; left out",
            ],
        );
    }

    #[test]
    fn what_cannot_be_read_at_all() {
        assert!(matches!(read(b"\xFF\xFEa\0", how(Format::Csv, false)), Err(ReadError::Utf16)));
        assert!(matches!(read(b"", how(Format::Csv, false)), Err(ReadError::Header(_))));
        assert!(matches!(read(b"homer@x.io,Homer\n", how(Format::Csv, false)), Err(ReadError::Header(_))));
        assert!(matches!(read(b"zd.plan\n", how(Format::Csv, false)), Err(ReadError::Mapping(_))));
        let keyed = How { key: Some("id".into()), ..how(Format::Csv, false) };
        assert!(matches!(read(b"email\n", keyed), Err(ReadError::Mapping(_))));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(file in proptest::collection::vec(any::<u8>(), 0..300), json in any::<bool>()) {
            let _ = read(&file, how(if json { Format::Ndjson } else { Format::Csv }, true));
        }
    }
}
