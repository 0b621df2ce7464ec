//! The statements of `src/db/`, found in its literal texts, and what they say.

use crate::tidy::report::Fault;
use crate::tidy::source::{is_name, sources};
use std::collections::BTreeSet;

/// A statement.
pub struct Statement {
    /// Its file.
    pub path: String,
    /// Its line.
    pub line: usize,
    /// Its function, or its constant.
    pub place: String,
    /// Its text.
    pub sql: String,
    /// True when it is put together by `format!`: it has `{}` in it.
    pub is_built: bool,
    /// Its words, in lower case, without what stands in quotes.
    pub words: Vec<String>,
}

/// All statements of `src/db/` outside tests.
pub fn statements() -> Vec<Statement> {
    let mut found = Vec::new();
    for source in sources(&["src/db"]) {
        let functions = source.functions();
        for literal in source.literals.iter().filter(|literal| !source.is_test(literal.at)) {
            let words = words(&literal.text);
            if !is_statement(&words) {
                continue;
            }
            let around = functions.iter().rfind(|function| function.body.contains(&literal.at));
            let before = source.code[..literal.at].trim_end_matches('"');
            found.push(Statement {
                path: source.path.clone(),
                line: source.line(literal.at),
                place: around.map_or_else(|| "a constant".into(), |function| function.name.clone()),
                is_built: before.ends_with("format!(") || before.trim_end().ends_with("format!("),
                sql: literal.text.clone(),
                words,
            });
        }
    }
    found
}

/// Words and signs of a text: names with their digits, `$1`, and every other character; quoted texts are left out.
pub fn words(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '$' => 1 + rest[1..].bytes().take_while(u8::is_ascii_digit).count(),
            first if first.is_ascii() && is_name(first as u8) => rest.bytes().take_while(|byte| is_name(*byte)).count(),
            first => first.len_utf8(),
        };
        if !first.is_whitespace() && first != '\'' && !rest.starts_with("--") {
            found.push(rest[..length].to_ascii_lowercase());
        }
        rest = &rest[length..];
    }
    found
}

fn is_statement(words: &[String]) -> bool {
    let second = words.get(1).map(String::as_str).unwrap_or_default();
    match words.first().map(String::as_str).unwrap_or_default() {
        "select" => words.len() > 1,
        "insert" => second == "into",
        "delete" => second == "from",
        "update" => words.iter().any(|word| word == "set"),
        "with" => words.iter().any(|word| word == "as"),
        "create" | "drop" | "alter" | "truncate" => ["table", "index", "view"].contains(&second),
        _ => false,
    }
}

impl Statement {
    /// Tables of this list that it names, each as often as it does so as a table: not before a dot, and not as the
    /// target of a conflict.
    pub fn tables<'a>(&self, tables: &'a BTreeSet<String>) -> Vec<&'a str> {
        let opens = ["from", "join", "into", "update", "using", ",", "only", "table", "of"];
        let follows = |index: usize| index > 0 && opens.contains(&self.words[index - 1].as_str());
        let is_table = |index: usize| follows(index) && self.words.get(index + 1).is_none_or(|next| next != ".");
        let named = self.words.iter().enumerate().filter(|(index, _)| is_table(*index));
        named.filter_map(|(_, word)| tables.get(word)).map(String::as_str).collect()
    }

    /// True when it names a table that is only known when it runs.
    pub fn has_open_table(&self) -> bool {
        self.sql.contains("{table}") || self.sql.contains("{name}")
    }

    /// True when these words follow one another in it.
    pub fn has(&self, words: &str) -> bool {
        let wanted: Vec<&str> = words.split(' ').collect();
        self.words.windows(wanted.len()).any(|found| found.iter().zip(&wanted).all(|(found, wanted)| found == wanted))
    }

    /// A fault of it.
    pub fn fault(&self, what: impl AsRef<str>) -> Fault {
        Fault::new(&self.path, self.line, format!("fn {}: {}", self.place, what.as_ref()))
    }
}

#[test]
fn statements_are_found_and_read() {
    let all = statements();
    assert!(all.len() > 80, "only {} statements", all.len());
    assert!(all.iter().any(|statement| statement.is_built && statement.has_open_table()));
    let lock = all.iter().find(|statement| statement.path.ends_with("workspace.rs")).expect("the workspace's lock");
    assert!(lock.has("for no key update") && lock.place == "lock", "{:?}", lock.words);
    assert_eq!(
        words("SELECT a.b, 'x now()' FROM c -- d\nWHERE e=$12"),
        "select a . b , from c where e = $12".split(' ').collect::<Vec<_>>()
    );
}
