//! A Rust file as the checks see it: its code without comments and texts, its literals, its functions, its test parts.
//! A scanner written by hand: it knows what a comment, a literal and a brace are, and nothing else of Rust.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A literal text of a source.
pub struct Literal {
    /// Where its content begins.
    pub at: usize,
    /// Its content, escapes resolved.
    pub text: String,
}

/// A function of a source.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where its name begins.
    pub at: usize,
    /// What is between its braces.
    pub body: Range<usize>,
}

/// A Rust file.
pub struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// As it is written.
    pub text: String,
    /// The same, byte by byte, with comments as spaces and the contents of literals as `~`.
    pub code: String,
    /// Its literal texts, in order.
    pub literals: Vec<Literal>,
    /// What is compiled for tests only.
    pub tests: Vec<Range<usize>>,
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths, from the root, of all files below a folder; none when it is not there.
pub fn files(folder: &str) -> Vec<String> {
    const LEFT_OUT: [&str; 5] = ["target", ".git", ".demo", "secrets", "node_modules"];
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = if folder == Path::new(".") { PathBuf::from(&name) } else { folder.join(&name) };
            if LEFT_OUT.iter().any(|left_out| name == *left_out) {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// All Rust files below these folders.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let paths = folders.iter().flat_map(|folder| files(folder)).filter(|path| path.ends_with(".rs"));
    let mut all: Vec<Source> = paths.map(|path| Source::new(&path, read(&path))).collect();
    let test_files: Vec<String> = all.iter().flat_map(Source::test_files).collect();
    for source in all.iter_mut().filter(|source| test_files.contains(&source.path)) {
        source.tests = whole(&source.text);
    }
    all
}

impl Source {
    /// Reads a text as Rust.
    pub fn new(path: &str, text: String) -> Source {
        let (code, literals) = blanked(&text);
        let is_test = path.starts_with("tests/") || path.contains("/tests/") || path.starts_with("benches/");
        let tests = if is_test { whole(&text) } else { test_items(&code) };
        Source { path: path.to_string(), text, code, literals, tests }
    }

    /// The line of a place, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// True for what is compiled for tests only.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// Where a piece of code stands as a whole word: not as a part of a longer name.
    pub fn places(&self, piece: &str) -> Vec<usize> {
        let bytes = self.code.as_bytes();
        let first = piece.bytes().next().is_some_and(is_name);
        let last = piece.bytes().last().is_some_and(is_name);
        let whole = |at: usize| {
            let before = at.checked_sub(1).is_some_and(|before| is_name(bytes[before]));
            let after = bytes.get(at + piece.len()).is_some_and(|byte| is_name(*byte));
            !(first && before || last && after)
        };
        self.code.match_indices(piece).map(|(at, _)| at).filter(|at| whole(*at)).collect()
    }

    /// All functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in self.places("fn") {
            let name_at = at + 2 + leading_spaces(&self.code[at + 2..]);
            let name: String = self.code[name_at..].bytes().take_while(|byte| is_name(*byte)).map(char::from).collect();
            if let Some(body) = body_after(&self.code, name_at).filter(|_| !name.is_empty()) {
                found.push(Function { name, at: name_at, body });
            }
        }
        found
    }

    /// Files of modules that this one declares for tests only.
    fn test_files(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_string(),
            _ => self.path.trim_end_matches(".rs").to_string(),
        };
        let own_folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let declared = self.tests.iter().filter_map(|range| {
            let path =
                self.literals.iter().find(|literal| range.contains(&literal.at) && literal.text.ends_with(".rs"));
            if let Some(path) = path.filter(|path| self.code[range.start..path.at].ends_with("#[path = \"")) {
                return Some(format!("{own_folder}/{}", path.text));
            }
            let item = self.code[range.clone()].rsplit("mod ").next()?.trim().strip_suffix(';')?;
            Some(format!("{folder}/{item}.rs"))
        });
        declared.collect()
    }
}

fn whole(text: &str) -> Vec<Range<usize>> {
    std::iter::once(0..text.len()).collect()
}

/// True for a byte of a name.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn leading_spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// What is between the braces that open after a place, unless the item ends before them.
fn body_after(code: &str, from: usize) -> Option<Range<usize>> {
    let mut depth = 0;
    for (offset, byte) in code.as_bytes()[from..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(from + offset + 1..closing(code, from + offset)),
            _ => {}
        }
    }
    None
}

/// Where the brace that opens at a place is closed.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let item = |(at, attribute): (usize, &str)| {
        let from = at + attribute.len();
        let end = match body_after(code, from) {
            Some(body) => body.end,
            None => code[from..].find(';').map_or(code.len(), |semicolon| from + semicolon),
        };
        at..end + 1
    };
    code.match_indices("#[cfg(test)]").map(item).collect()
}

/// The code with comments as spaces and the contents of literals as `~`, and the literal texts.
fn blanked(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (end, hidden, fill) = match rest {
            [b'/', b'/', ..] => {
                let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                (end, at..end, b' ')
            }
            [b'/', b'*', ..] => {
                let end = text[at..].find("*/").map_or(text.len(), |end| at + end + 2);
                (end, at..end, b' ')
            }
            [b'"', ..] => {
                let end = at + 1 + plain_end(&rest[1..]);
                literals.push(Literal { at: at + 1, text: unescaped(&text[at + 1..end]) });
                (end + 1, at + 1..end, b'~')
            }
            [b'r', b'"' | b'#', ..] if !(at > 0 && is_name(bytes[at - 1]) && bytes[at - 1] != b'b') => {
                match raw(&text[at..]) {
                    Some((open, close, end)) => {
                        literals.push(Literal { at: at + open, text: text[at + open..at + close].to_string() });
                        (at + end, at + open..at + close, b'~')
                    }
                    None => (at + 1, at..at, b' '),
                }
            }
            [b'\'', ..] => {
                let end = at + character(&text[at..]);
                (end, at + 1..end.max(at + 2) - 1, b'~')
            }
            _ => (at + 1, at..at, b' '),
        };
        for byte in code[hidden].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = fill;
        }
        at = end;
    }
    (String::from_utf8(code).expect("whole characters are replaced"), literals)
}

/// Where a plain literal ends that begins here, after its quote.
fn plain_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// Where the content of a raw literal begins and ends, and where the literal ends; `None` for another thing, `r#type`.
fn raw(text: &str) -> Option<(usize, usize, usize)> {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes + 1;
    text[1 + hashes..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    let close = open + text[open..].find(&end)?;
    Some((open, close, close + end.len()))
}

/// How long a character literal is, or the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, next))) => {
            let from = at + next.len_utf8();
            text[from..].find('\'').map_or(1, |close| from + close + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// A plain literal's content with its escapes resolved, as far as texts of ours use them.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[test]
fn the_scanner_tells_code_from_texts() {
    let text = "fn a<'a>(x: [u8; 2]) -> char { let s = \"fn b() { // no\"; '{' } // fn c() {\n\
                #[cfg(test)]\nmod tests { fn d() { r#\"}\"#; b\"\\\"}\"; '\\'' } }\nfn e() {}\n";
    let source = Source::new("src/x.rs", text.to_string());
    let names: Vec<String> = source.functions().into_iter().map(|function| function.name).collect();
    assert_eq!(names, ["a", "d", "e"]);
    let literals: Vec<&str> = source.literals.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(literals, ["fn b() { // no", "}", "\"}"]);
    let in_tests: Vec<bool> = source.functions().iter().map(|function| source.is_test(function.at)).collect();
    assert_eq!(in_tests, [false, true, false]);
    assert_eq!(source.code.len(), source.text.len());
}
