//! The migrations as they are written: their names, their headers, and the habits of tables that grow past one machine.

use super::{CONTROL, statements::words};
use crate::tidy::report::{Exception, Fault, hold};
use crate::tidy::source::{files, read};

/// A statement of a migration, with its line.
struct Step {
    path: String,
    line: usize,
    words: Vec<String>,
}

fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for path in files("migrations") {
        let text = read(&path);
        let mut from = 0;
        let mut quoted = false;
        let mut comment = false;
        for (at, character) in text.char_indices() {
            match character {
                '\n' => comment = false,
                '-' if !quoted && text[at..].starts_with("--") => comment = true,
                '\'' if !comment => quoted = !quoted,
                ';' if !quoted && !comment => {
                    let words = words(&text[from..at]);
                    // The line of the first word, not of the comment above it.
                    let first = words.first().map(String::as_str).unwrap_or_default();
                    let begins =
                        text[from..at].to_ascii_lowercase().find(&format!("\n{first} ")).map_or(0, |at| at + 1);
                    steps.push(Step {
                        path: path.clone(),
                        line: text[..from + begins].matches('\n').count() + 1,
                        words,
                    });
                    from = at + 1;
                }
                _ => {}
            }
        }
        assert!(words(&text[from..]).is_empty(), "{path}: the last statement has no semicolon");
    }
    steps
}

impl Step {
    fn text(&self) -> String {
        self.words.join(" ")
    }

    fn fault(&self, what: &str) -> Fault {
        let begin: Vec<&str> = self.words.iter().take(6).map(String::as_str).collect();
        Fault::new(&self.path, self.line, format!("{what}: {} …", begin.join(" ")))
    }

    /// The data table that it makes or indexes, if it does.
    fn data_table(&self) -> Option<&str> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let table = match words.as_slice() {
            ["create", "table", "if", "not", "exists", table, ..] | ["create", "table", table, ..] => table,
            ["create", "unique", "index", ..] => words.iter().skip_while(|word| **word != "on").nth(1)?,
            ["alter", "table", table, ..] => table,
            _ => return None,
        };
        (!CONTROL.contains(table)).then_some(*table)
    }
}

#[test]
fn migrations_are_numbered_and_explained() {
    let mut faults = Vec::new();
    for (index, path) in files("migrations").iter().enumerate() {
        let name = path.trim_start_matches("migrations/");
        let number = format!("{:04}_", index + 1);
        let plain =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte));
        if !name.starts_with(&number) || !plain || !name.ends_with(".sql") {
            faults.push(Fault::new(path, 0, format!("is not named {number}what_it_does.sql: without gaps, a-z and _")));
        }
        if name.ends_with(".down.sql") || name.ends_with(".up.sql") {
            faults.push(Fault::new(path, 0, "has a way back: migrations go forward only"));
        }
        if !read(path).starts_with("-- ") {
            faults.push(Fault::new(path, 1, "does not begin with a comment that says what it is for"));
        }
    }
    hold("Migrations are numbered, explained, and go forward only", &faults, &[]);
}

#[test]
fn migrations_keep_the_habits_of_data_tables() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut faults = Vec::new();
    for step in steps() {
        let text = step.text();
        for word in ["trigger", "rule", "advisory", "notify", "serial", "bigserial", "smallserial"] {
            if step.words.first().is_some_and(|first| first != "comment")
                && step.words.iter().any(|found| found == word)
            {
                faults.push(step.fault(&format!("has `{word}`")));
            }
        }
        if text.starts_with("drop ") || text.starts_with("truncate ") {
            faults.push(step.fault("destroys what an older binary may still read"));
        }
        if step.data_table().is_some() {
            faults.extend(habits(&text).into_iter().map(|what| step.fault(&what)));
        }
    }
    hold("Data tables can be distributed by workspace_id (design.md, \"Past one machine\")", &faults, EXCEPTIONS);
}

/// What a definition of a data table, or of a unique index on one, does wrong.
fn habits(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_partition = text.contains(" partition of ");
    if text.starts_with("create table") && !is_partition && !text.contains("primary key ( workspace_id ") {
        faults.push("has no primary key that begins with workspace_id".to_string());
    }
    for key in ["unique (", "foreign key (", "references "] {
        for (at, _) in text.match_indices(key) {
            let rest = &text[at + key.len()..];
            let columns =
                if key == "references " { rest.split_once('(').map_or("", |(_, columns)| columns) } else { rest };
            if !columns.trim_start().starts_with("workspace_id ") {
                faults.push(format!("has `{key}` that does not begin with workspace_id"));
            }
        }
    }
    if text.starts_with("create unique index") && !text.contains("( workspace_id ") {
        faults.push("is a unique index that does not begin with workspace_id".to_string());
    }
    for word in ["now (", "current_timestamp", "current_date", "clock_timestamp", "random (", "gen_random_uuid"] {
        if text.contains(word) {
            faults.push(format!("has `{word}`: times and ids are parameters of the statements"));
        }
    }
    if is_partition && text.contains(" partition by ") {
        faults.push("is a second level of partitions".to_string());
    }
    faults
}

#[test]
fn broken_habits_are_seen() {
    assert!(habits("create table a ( workspace_id bigint , primary key ( workspace_id , id ) )").is_empty());
    assert_eq!(habits("create table a ( id bigint primary key default now ( ) , unique ( b ) )").len(), 3);
    assert_eq!(habits("create unique index a on b ( c )").len(), 1);
    assert!(steps().len() > 100 && steps().iter().any(|step| step.data_table() == Some("person")));
}
