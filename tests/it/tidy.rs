//! The house rules for sources (design.md, "The house"): who may need whom, what stands where, how long things are.
//! Only text is read here; an exception has its reason beside it and fails the test once it is not needed.

mod graph;
pub mod report;
pub mod source;

use graph::{Edge, cycles, edges, module_of};
use report::{Exception, Fault, hold};
use source::{Literal, Source, files, read, sources};
use std::collections::{BTreeMap, BTreeSet};

/// What each part of `src/` may need besides itself: arrows run down only.
const MAY_NEED: &[(&str, &[&str])] = &[
    ("main", &["cli", "config", "telemetry"]),
    (
        "cli",
        &["app", "http", "worker", "demo", "pipeline", "db", "zendesk", "rules", "model", "LEAVES", "private_postgres"],
    ),
    ("app", &["http", "worker", "pipeline", "db", "zendesk", "rules", "model", "LEAVES"]),
    ("demo", &["app", "pipeline", "db", "zendesk", "rules", "model", "LEAVES", "private_postgres"]),
    ("http", &["pipeline", "db", "zendesk", "rules", "model", "LEAVES"]),
    ("worker", &["pipeline", "db", "zendesk", "rules", "model", "LEAVES"]),
    ("pipeline", &["db", "zendesk", "notify", "rules", "model", "LEAVES"]),
    ("db", &["model"]),
    ("zendesk", &["rules", "model", "clock", "config", "telemetry"]),
    ("notify", &["config", "telemetry"]),
    ("rules", &["model"]),
    ("model", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("secret", &["config"]),
    ("telemetry", &["config"]),
    ("private_postgres", &["config"]),
];

/// The leaves that the upper half of the house may all use.
const LEAVES: &[&str] = &["clock", "config", "secret", "telemetry"];

const EVERYWHERE: &[&str] = &["src", "openapi-check", "zendesk-sim/src", "zendesk-sim/tests", "tests", "benches"];

/// Most lines of a file.
const FILE_LINES: usize = 500;

/// Most lines of a function, blank ones and comments not counted: the same as in `clippy.toml`.
const FUNCTION_LINES: usize = 70;

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

fn house() -> (Vec<Source>, Vec<Edge>) {
    let sources = sources(&["src"]);
    let edges = edges(&sources, "deskbridge");
    (sources, edges)
}

/// Every place where one of the pieces of code stands, in files and places that `applies` names.
fn places(sources: &[Source], pieces: &[&str], applies: impl Fn(&Source, usize) -> bool) -> Vec<Fault> {
    let mut found = Vec::new();
    for source in sources {
        for piece in pieces {
            let places = source.places(piece).into_iter().filter(|at| applies(source, *at));
            found.extend(places.map(|at| Fault::new(&source.path, source.line(at), format!("has `{piece}`"))));
        }
    }
    found
}

fn is_under(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

#[test]
fn arrows_run_down_only() {
    const EXCEPTIONS: &[Exception] = &[];
    let (sources, edges) = house();
    let mut faults = Vec::new();
    for source in &sources {
        let part = module_of(&source.path);
        if !part.is_empty() && !MAY_NEED.iter().any(|(name, _)| *name == top(&part)) {
            faults.push(Fault::new(&source.path, 0, "has no place in MAY_NEED: say there what it may need"));
        }
    }
    for edge in &edges {
        let (from, to) = (top(&edge.from), top(&edge.to));
        let allowed = MAY_NEED.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| *allowed);
        let is_leaf = allowed.contains(&"LEAVES") && LEAVES.contains(&to);
        if !from.is_empty() && from != to && !is_leaf && !allowed.contains(&to) {
            let what = format!("{} needs {}: {from} may need only {allowed:?}", edge.from, name_of(&edge.to));
            faults.push(Fault::new(&edge.path, edge.line, what));
        }
    }
    hold(
        "Arrows run down only: main, cli, demo, app, {http, worker}, pipeline, {db, zendesk, rules}, model",
        &faults,
        EXCEPTIONS,
    );
}

fn name_of(module: &str) -> &str {
    if module.is_empty() { "the crate's root" } else { module }
}

#[test]
fn no_file_needs_itself() {
    const EXCEPTIONS: &[Exception] = &[];
    let (_, edges) = house();
    let mut faults = Vec::new();
    for cycle in cycles(&edges) {
        let way: Vec<String> =
            cycle.iter().map(|edge| format!("{} ({}:{})", edge.from, edge.path, edge.line)).collect();
        faults.push(Fault::new(&cycle[0].path, cycle[0].line, format!("{} and back", way.join(" → "))));
    }
    hold("No cycles between files, not even inside a folder", &faults, EXCEPTIONS);
}

#[test]
fn http_writes_only_through_the_pipeline() {
    const EXCEPTIONS: &[Exception] = &[];
    let (sources, edges) = house();
    let writers = writers(&sources);
    let writes = |edge: &&Edge| top(&edge.from) == "http" && writers.contains(&(edge.to.clone(), edge.item.clone()));
    let fault = |edge: &Edge| Fault::new(&edge.path, edge.line, format!("writes by {}::{}", edge.to, edge.item));
    let faults: Vec<Fault> = edges.iter().filter(writes).map(fault).collect();
    hold("http reads through db and writes only through pipeline", &faults, EXCEPTIONS);
    assert!(writers.contains(&("db::job".into(), "claim".into())), "writers are not recognised any more");
    assert!(!writers.contains(&("db::source".into(), "all".into())), "readers are taken for writers");
}

/// Functions of `db/` that write: by a statement in their bodies, or by calling one of their own file that does.
fn writers(sources: &[Source]) -> BTreeSet<(String, String)> {
    const WRITES: [&str; 8] = ["INSERT ", "UPDATE ", "DELETE ", "CREATE ", "DROP ", "ALTER ", "TRUNCATE ", "nextval"];
    let mut writers = BTreeSet::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/db/")) {
        let module = module_of(&source.path);
        let functions = source.functions();
        let mut own: BTreeSet<&str> = BTreeSet::new();
        loop {
            let before = own.len();
            for function in &functions {
                let is_inside = |literal: &&Literal| function.body.contains(&literal.at);
                let by_itself = source.literals.iter().filter(is_inside).any(|literal| {
                    WRITES.iter().any(|word| literal.text.contains(word)) || literal.text.contains("FOR NO KEY")
                });
                let by_another = own
                    .iter()
                    .any(|other| source.places(&format!("{other}(")).iter().any(|at| function.body.contains(at)));
                if by_itself || by_another || source.code[function.body.clone()].contains("MIGRATOR.run") {
                    own.insert(&function.name);
                }
            }
            if own.len() == before {
                break;
            }
        }
        writers.extend(own.iter().map(|name| (module.clone(), (*name).to_string())));
    }
    writers
}

#[test]
fn things_stand_in_their_places() {
    const EXCEPTIONS: &[Exception] = &[
        (
            "src/private_postgres.rs",
            "`std::env`",
            "split_paths reads nothing: it takes the PATH that config has read apart",
        ),
        (
            "src/pipeline/import/check.rs",
            "`SystemTime`",
            "the time stamp of a file, compared with itself; no reading of the time",
        ),
    ];
    let sources = sources(&["src"]);
    let mut faults = Vec::new();
    let rules: [(&[&str], &[&str]); 6] = [
        (&["sqlx::query", "query_as(", "query_scalar(", "raw_sql(", "QueryBuilder", "AssertSqlSafe"], &["src/db/"]),
        // Zendesk is asked in one place; alerts go to an address of the operators', which is another matter.
        (&["reqwest"], &["src/zendesk/", "src/notify/", "src/demo/sim.rs"]),
        (&["lettre"], &["src/notify/"]),
        (&["axum"], &["src/http/", "src/app.rs"]),
        (&["Utc::now", "Local::now", "Instant::now", "SystemTime"], &["src/clock.rs"]),
        (&["std::env", "env::var", "env::vars", "env::args"], &["src/config.rs", "src/config/"]),
    ];
    for (pieces, homes) in rules {
        let found = places(&sources, pieces, |source, at| !source.is_test(at) && !is_under(&source.path, homes));
        let told =
            |fault: Fault| Fault { what: format!("{}, which belongs in {}", fault.what, homes.join(", ")), ..fault };
        faults.extend(found.into_iter().map(told));
    }
    hold("SQL, HTTP client, e-mail, web server, time and environment each have one place", &faults, EXCEPTIONS);
}

#[test]
fn the_simulated_account_has_its_own_clock() {
    const EXCEPTIONS: &[Exception] = &[];
    let pieces = ["Utc::now", "Local::now", "Instant::now", "SystemTime"];
    let found = places(&sources(&["zendesk-sim/src"]), &pieces, |source, at| {
        !source.is_test(at) && source.path != "zendesk-sim/src/clock.rs"
    });
    hold("In zendesk-sim, too, only clock.rs reads the time", &found, EXCEPTIONS);
}

#[test]
fn decisions_are_pure() {
    const EXCEPTIONS: &[Exception] = &[];
    let pure = ["src/model/", "src/rules/", "src/zendesk/decode/"];
    let pieces = [".await", "async", "tracing", "metrics", "rand", "sqlx", "std::fs", "std::net", "tokio"];
    let faults = places(&sources(&["src"]), &pieces, |source, _| is_under(&source.path, &pure));
    hold("Model, rules and decoders are values in, values out (invariant 10)", &faults, EXCEPTIONS);
}

#[test]
fn nothing_unfinished_or_rash_is_left() {
    const EXCEPTIONS: &[Exception] = &[];
    let sources = sources(EVERYWHERE);
    let mut faults = places(&sources, &["todo!", "unimplemented!", "dbg!"], |_, _| true);
    faults.extend(places(&sources, &[".unwrap()", "panic!"], |source, at| !source.is_test(at)));
    let talkers = [
        "src/cli.rs",
        "src/cli/",
        "src/demo.rs",
        "src/demo/",
        "src/main.rs",
        "zendesk-sim/src/main.rs",
        "openapi-check/examples/",
    ];
    let talk = places(&sources, &["println!", "eprintln!", "print!", "eprint!"], |source, at| {
        !source.is_test(at) && !is_under(&source.path, &talkers)
    });
    faults.extend(talk);
    // A bench measures real time and may wait for it.
    let waits = |source: &Source, at| source.is_test(at) && !source.path.starts_with("benches/");
    faults.extend(places(&sources, &["thread::sleep", "time::sleep"], waits));
    hold("No rash ends, no talk outside the command line, no waiting in tests", &faults, EXCEPTIONS);
}

#[test]
fn files_and_functions_are_short_and_say_what_they_are() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut faults = Vec::new();
    for source in sources(EVERYWHERE) {
        if !source.text.starts_with("//! ") {
            faults.push(Fault::new(&source.path, 1, "does not begin with a `//!` line that says what it is for"));
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            faults.push(Fault::new(&source.path, lines, format!("has {lines} lines, more than {FILE_LINES}")));
        }
        for function in source.functions() {
            let lines = source.code[function.body].lines().filter(|line| !line.trim().is_empty()).count();
            if lines > FUNCTION_LINES {
                let what = format!("fn {} has {lines} lines, more than {FUNCTION_LINES}", function.name);
                faults.push(Fault::new(&source.path, source.line(function.at), what));
            }
        }
    }
    hold("A `//!` line on every file, no file over 500 lines, no function over 70", &faults, EXCEPTIONS);
    let limit = format!("too-many-lines-threshold = {FUNCTION_LINES}");
    assert!(read("clippy.toml").contains(&limit), "clippy.toml and this test have different limits");
}

#[test]
fn the_daemon_and_the_simulated_account_meet_only_over_http() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut faults = places(&sources(&["src"]), &["zendesk_sim"], |source, at| !source.is_test(at));
    faults.extend(places(&sources(&["zendesk-sim"]), &["deskbridge"], |_, _| true));
    faults.extend(places(&sources(&["openapi-check"]), &["deskbridge", "zendesk_sim"], |_, _| true));
    for (dependency, line) in dependencies("Cargo.toml", "[dependencies]") {
        if dependency == "zendesk-sim" {
            faults.push(Fault::new("Cargo.toml", line, "the daemon depends on the simulated account"));
        }
    }
    for section in ["[dependencies]", "[dev-dependencies]"] {
        let found = dependencies("zendesk-sim/Cargo.toml", section);
        let found = found.into_iter().filter(|(dependency, _)| dependency == "deskbridge");
        faults.extend(found.map(|(_, line)| Fault::new("zendesk-sim/Cargo.toml", line, "depends on the daemon")));
    }
    hold("The simulated Zendesk shares no type with the daemon (invariant 12)", &faults, EXCEPTIONS);
}

/// Names and lines of the dependencies in a section of a manifest.
fn dependencies(manifest: &str, section: &str) -> Vec<(String, usize)> {
    let text = read(manifest);
    let lines = text.lines().enumerate().skip_while(|(_, line)| line.trim() != section).skip(1);
    let lines = lines.take_while(|(_, line)| !line.starts_with('['));
    let name = |(index, line): (usize, &str)| {
        let name = line.split_once('=')?.0.trim();
        (!name.is_empty() && !name.starts_with('#')).then(|| (name.to_string(), index + 1))
    };
    lines.filter_map(name).collect()
}

#[test]
fn every_dependency_is_used_and_locked() {
    const EXCEPTIONS: &[Exception] = &[];
    let lock = read("Cargo.lock");
    assert!(
        !read(".gitignore").lines().any(|line| line.contains("Cargo.lock")),
        "Cargo.lock belongs in the repository"
    );
    let users: [(&str, &str, &[&str]); 5] = [
        ("openapi-check/Cargo.toml", "[dependencies]", &["openapi-check/src"]),
        ("Cargo.toml", "[dependencies]", &["src"]),
        ("Cargo.toml", "[dev-dependencies]", &["src", "tests", "benches"]),
        ("zendesk-sim/Cargo.toml", "[dependencies]", &["zendesk-sim/src"]),
        ("zendesk-sim/Cargo.toml", "[dev-dependencies]", &["zendesk-sim/src", "zendesk-sim/tests"]),
    ];
    let mut faults = Vec::new();
    for (manifest, section, folders) in users {
        let sources = sources(folders);
        for (dependency, line) in dependencies(manifest, section) {
            let name = dependency.replace('-', "_");
            if sources.iter().all(|source| source.places(&name).is_empty()) {
                let what = format!("`{dependency}` is used nowhere in {}", folders.join(", "));
                faults.push(Fault::new(manifest, line, what));
            }
            if !lock.contains(&format!("name = \"{dependency}\"")) {
                faults.push(Fault::new(manifest, line, format!("`{dependency}` is not in Cargo.lock")));
            }
        }
    }
    hold("Every dependency is used, and locked", &faults, EXCEPTIONS);
}

#[test]
fn no_notes_to_ourselves_and_no_paths_of_our_machines() {
    const WHY: &str = "reads the recordings, and passes where they are not";
    const EXCEPTIONS: &[Exception] = &[
        ("tests/it/corpus.rs", concat!("../", "shared"), WHY),
        ("zendesk-sim/tests/recorded/corpus.rs", concat!("../", "shared"), WHY),
        (
            "openapi-check/src/zendesk.rs",
            concat!("../", "shared"),
            "reads Zendesk's OpenAPI, and passes where it is not",
        ),
    ];
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let paths = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("../", "shared")];
    let mut faults = Vec::new();
    for path in files(".") {
        let Ok(text) = String::from_utf8(std::fs::read(source::root().join(&path)).unwrap_or_default()) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            let found = notes.iter().filter(|note| has_word(line, note));
            let found = found.chain(paths.iter().filter(|path| has_path(line, path)));
            faults.extend(found.map(|what| Fault::new(&path, index + 1, format!("has \"{what}\""))));
        }
    }
    hold("No notes to ourselves, no paths that only our machines have", &faults, EXCEPTIONS);
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != ':')
        .any(|part| part == word || part.trim_end_matches(':') == word)
}

/// True when a path begins here with this, not in the midst of a longer one.
fn has_path(line: &str, path: &str) -> bool {
    let begins =
        |(at, _): (usize, &str)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '.');
    line.match_indices(path).any(begins)
}

#[test]
fn modules_of_the_crate_are_all_declared() {
    let mut faults = Vec::new();
    let all = sources(&["src", "zendesk-sim/src", "openapi-check/src"]);
    let by_path: BTreeMap<&str, &Source> = all.iter().map(|source| (source.path.as_str(), source)).collect();
    for source in &all {
        let Some((folder, file)) = source.path.rsplit_once('/') else { continue };
        if ["lib.rs", "main.rs"].contains(&file) {
            continue;
        }
        let (folder, name) = match file {
            "mod.rs" => folder.rsplit_once('/').unwrap_or((folder, "")),
            _ => (folder, file.trim_end_matches(".rs")),
        };
        let parents = [
            format!("{folder}/mod.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
            format!("{folder}.rs"),
        ];
        let declares = |parent: &String| {
            by_path.get(parent.as_str()).is_some_and(|parent| !parent.places(&format!("mod {name};")).is_empty())
        };
        let by_path = all.iter().any(|other| {
            let beside = other.path.rsplit_once('/').is_some_and(|(other, _)| source.path == format!("{other}/{file}"));
            beside && other.text.contains(&format!("#[path = \"{file}\"]"))
        });
        if !by_path && !parents.iter().any(declares) {
            faults.push(Fault::new(&source.path, 0, "is a module of nothing: no file declares it"));
        }
    }
    hold("Every file is compiled", &faults, &[]);
}
