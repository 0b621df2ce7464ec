//! Which file needs which: from `use` trees and from paths in the code, through modules that were imported by name.

use super::source::{Source, is_name};
use std::collections::{BTreeMap, BTreeSet};

/// One file's need of another.
#[derive(Debug)]
pub struct Edge {
    /// The module in need, such as `pipeline::poll`; empty for the crate's root.
    pub from: String,
    /// Its file.
    pub path: String,
    /// The line that says so.
    pub line: usize,
    /// The module needed.
    pub to: String,
    /// What of it, when one thing is named.
    pub item: String,
}

/// The module that a file of `src/` is.
pub fn module_of(path: &str) -> String {
    let inside = path.trim_start_matches("zendesk-sim/").trim_start_matches("src/").trim_end_matches(".rs");
    if inside == "lib" { String::new() } else { inside.trim_end_matches("/mod").replace('/', "::") }
}

/// All needs between these files of one crate.
pub fn edges(sources: &[Source], crate_name: &str) -> Vec<Edge> {
    let modules: BTreeSet<String> = sources.iter().map(|source| module_of(&source.path)).collect();
    sources.iter().flat_map(|source| Scan::new(source, crate_name, &modules).edges()).collect()
}

/// The shortest ways from a file back to itself, each told once.
pub fn cycles(edges: &[Edge]) -> Vec<Vec<&Edge>> {
    let mut by_module: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| edge.from != edge.to) {
        by_module.entry(&edge.from).or_default().push(edge);
    }
    let mut told: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    let mut found = Vec::new();
    for start in by_module.keys() {
        if let Some(cycle) = way_back(start, &by_module)
            && told.insert(cycle.iter().map(|edge| edge.from.as_str()).collect())
        {
            found.push(cycle);
        }
    }
    found
}

fn way_back<'a>(start: &str, by_module: &BTreeMap<&str, Vec<&'a Edge>>) -> Option<Vec<&'a Edge>> {
    let mut came: BTreeMap<&str, &'a Edge> = BTreeMap::new();
    let mut next = vec![start.to_string()];
    while !next.is_empty() {
        let mut further = Vec::new();
        for module in &next {
            for edge in by_module.get(module.as_str()).into_iter().flatten() {
                if came.contains_key(edge.to.as_str()) {
                    continue;
                }
                came.insert(&edge.to, edge);
                further.push(edge.to.clone());
                if edge.to == start {
                    return Some(walked(start, &came));
                }
            }
        }
        next = further;
    }
    None
}

fn walked<'a>(start: &str, came: &BTreeMap<&str, &'a Edge>) -> Vec<&'a Edge> {
    let mut way = Vec::new();
    let mut at = start;
    while let Some(edge) = came.get(at) {
        way.push(*edge);
        at = &edge.from;
        if at == start {
            break;
        }
    }
    way.reverse();
    way
}

/// A piece of code: a name, `::`, or one other character.
#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            byte if is_name(byte) => bytes[at..].iter().take_while(|byte| is_name(**byte)).count(),
            b':' if bytes.get(at + 1) == Some(&b':') => 2,
            _ => 1,
        };
        found.push(Token { at, text: &code[at..at + length] });
        at += length;
    }
    found
}

struct Scan<'a> {
    source: &'a Source,
    crate_name: &'a str,
    modules: &'a BTreeSet<String>,
    tokens: Vec<Token<'a>>,
    module: String,
    /// Modules that the file may name without a way: imported ones and its own children.
    known: BTreeMap<String, String>,
    found: Vec<Edge>,
}

impl<'a> Scan<'a> {
    fn new(source: &'a Source, crate_name: &'a str, modules: &'a BTreeSet<String>) -> Scan<'a> {
        let module = module_of(&source.path);
        let inside = if module.is_empty() { String::new() } else { format!("{module}::") };
        let children = modules.iter().filter_map(|other| {
            let child = other.strip_prefix(&inside).filter(|child| !child.is_empty() && !child.contains("::"))?;
            Some((child.to_string(), other.clone()))
        });
        let known = if module == "main" { BTreeMap::new() } else { children.collect() };
        let tokens = tokens(&source.code);
        Scan { source, crate_name, modules, tokens, module, known, found: Vec::new() }
    }

    fn edges(mut self) -> Vec<Edge> {
        self.walk(true);
        self.walk(false);
        self.found
    }

    /// Goes through the file twice: first for its imports, then for the paths in its code.
    fn walk(&mut self, imports: bool) {
        let mut depth = 0usize;
        let mut inline: Vec<(usize, String)> = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            match self.text(index) {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    inline.retain(|(opened, _)| *opened < depth + 1);
                }
                "mod" if self.text(index + 2) == "{" => {
                    inline.push((depth + 1, self.text(index + 1).to_string()));
                }
                "use" if self.text(index + 1) != "<" => {
                    let mut leaves = Vec::new();
                    index = self.tree(index + 1, &mut Vec::new(), &mut leaves);
                    for (at, path, name) in leaves.into_iter().filter(|_| imports) {
                        self.import(at, &path, name, inline.len());
                    }
                    continue;
                }
                _ if !imports && self.begins_path(index) => {
                    let (path, end) = self.path(index);
                    self.need(self.tokens[index].at, &path, inline.len());
                    index = end;
                    continue;
                }
                _ => {}
            }
            index += 1;
        }
    }

    fn text(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| token.text)
    }

    fn begins_path(&self, index: usize) -> bool {
        let after = index.checked_sub(1).map_or("", |before| self.text(before));
        self.text(index + 1) == "::" && self.text(index).bytes().all(is_name) && after != "::" && after != "."
    }

    fn path(&self, mut index: usize) -> (Vec<&'a str>, usize) {
        let mut path = vec![self.text(index)];
        index += 1;
        while self.text(index) == "::" && self.text(index + 1).bytes().all(is_name) {
            path.push(self.text(index + 1));
            index += 2;
        }
        (path, index)
    }

    /// Reads a tree of imports; answers where it ends. A leaf is its place, its path and the name it is given.
    fn tree(
        &self,
        mut index: usize,
        way: &mut Vec<&'a str>,
        leaves: &mut Vec<(usize, Vec<&'a str>, &'a str)>,
    ) -> usize {
        let length = way.len();
        let mut at = None;
        loop {
            match self.text(index) {
                "::" => index += 1,
                "{" => {
                    index += 1;
                    while self.text(index) != "}" && index < self.tokens.len() {
                        let end = self.tree(index, way, leaves);
                        index = end + usize::from(self.text(end) == "," || end == index);
                    }
                    way.truncate(length);
                    return index + 1;
                }
                ";" | "," | "}" | "as" | "" => break,
                name => {
                    at.get_or_insert(self.tokens[index].at);
                    way.push(name);
                    index += 1;
                }
            }
        }
        if way.len() > 1 && way.last() == Some(&"self") {
            way.pop();
        }
        let mut name = way.last().copied().unwrap_or_default();
        if self.text(index) == "as" {
            name = self.text(index + 1);
            index += 2;
        }
        if let Some(at) = at {
            leaves.push((at, way.clone(), name));
        }
        way.truncate(length);
        index
    }

    fn import(&mut self, at: usize, path: &[&str], name: &str, inline: usize) {
        if let Some((module, rest)) = self.resolve(path, inline) {
            if rest.is_empty() {
                self.known.insert(name.to_string(), module.clone());
            }
            self.push(at, module, rest);
        }
    }

    fn need(&mut self, at: usize, path: &[&str], inline: usize) {
        if let Some((module, rest)) = self.resolve(path, inline) {
            self.push(at, module, rest);
        }
    }

    fn push(&mut self, at: usize, to: String, rest: Vec<String>) {
        let item = rest.into_iter().next().unwrap_or_default();
        let line = self.source.line(at);
        self.found.push(Edge { from: self.module.clone(), path: self.source.path.clone(), line, to, item });
    }

    /// The module that a path leads into, and what of the path is left there; `None` for a path to another crate.
    fn resolve(&self, path: &[&str], inline: usize) -> Option<(String, Vec<String>)> {
        let mut module: Vec<String> =
            self.module.split("::").filter(|part| !part.is_empty()).map(str::to_string).collect();
        let mut inline = inline;
        let mut rest = path;
        match *path.first()? {
            "crate" => (module, rest) = (Vec::new(), &path[1..]),
            name if name == self.crate_name => (module, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first() == Some(&"super") {
                    match inline {
                        0 => _ = module.pop(),
                        _ => inline -= 1,
                    }
                    rest = &rest[1..];
                }
            }
            name => {
                let known = self.known.get(name)?;
                (module, rest) = (known.split("::").map(str::to_string).collect(), &path[1..]);
            }
        }
        while let Some((next, left)) = rest.split_first() {
            let further = [module.as_slice(), &[(*next).to_string()]].concat();
            if !self.modules.contains(&further.join("::")) {
                break;
            }
            (module, rest) = (further, left);
        }
        Some((module.join("::"), rest.iter().map(|part| (*part).to_string()).collect()))
    }
}

#[test]
fn the_graph_follows_imports_and_paths() {
    let files = [
        ("src/lib.rs", "pub mod a; pub mod b;"),
        ("src/a/mod.rs", "mod c; use crate::b::{self, d as e}; fn f() { b::g(); c::h(); std::fs::read(); }"),
        (
            "src/a/c.rs",
            "use super::F; #[cfg(test)] mod tests { use super::*; fn x() { super::y(); super::super::z() } }",
        ),
        ("src/b/mod.rs", "pub mod d;"),
        ("src/b/d.rs", "fn x() { crate::b::y() }"),
    ];
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, (*text).to_string())).collect();
    let edges = edges(&sources, "deskbridge");
    let needs: BTreeSet<(&str, &str)> = edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect();
    let expected = [("a", "a::c"), ("a", "b"), ("a", "b::d"), ("a::c", "a"), ("a::c", "a::c"), ("b::d", "b")];
    assert_eq!(needs, BTreeSet::from(expected));
    let cycles: Vec<Vec<&str>> =
        cycles(&edges).iter().map(|cycle| cycle.iter().map(|edge| edge.from.as_str()).collect()).collect();
    assert_eq!(cycles, [["a", "a::c"]]);
}
