//! The image, the compose file and the settings, as far as they can be checked without an engine: everything that one
//! of them names must be there.

use crate::tidy::report::{Exception, Fault, hold};
use crate::tidy::source::{read, root};
use deskbridge::config::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const DEFAULTS: &str = "config/default.toml";

/// What has no default and stands in no file.
const SECRETS: [&str; 3] = ["DESKBRIDGE__SECRET_KEY", "DESKBRIDGE__PREVIOUS_SECRET_KEYS", "DESKBRIDGE__DATABASE__URL"];

/// The least that the settings need.
const NEEDED: [(&str, &str); 2] = [
    ("DESKBRIDGE__SECRET_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
    ("DESKBRIDGE__DATABASE__URL", "postgres://deskbridge@localhost:5432/deskbridge"),
];

/// An instruction of the Dockerfile.
struct Instruction {
    line: usize,
    name: String,
    rest: String,
}

impl Instruction {
    fn fault(&self, what: impl AsRef<str>) -> Fault {
        Fault::new("Dockerfile", self.line, format!("{} {}: {}", self.name, self.rest, what.as_ref()))
    }

    /// Its arguments without options.
    fn arguments(&self) -> Vec<&str> {
        self.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect()
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.rest.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// The list of its exec form; `None` for the form that needs a shell.
    fn exec(&self) -> Option<Vec<String>> {
        let list = self.rest.get(self.rest.find('[')?..)?;
        serde_json::from_str(list).ok()
    }
}

/// The stages of the Dockerfile, each beginning with its FROM.
fn stages() -> Vec<Vec<Instruction>> {
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    let mut open: Option<Instruction> = None;
    for (index, line) in read("Dockerfile").lines().enumerate() {
        if line.trim_start().starts_with('#') || (line.trim().is_empty() && open.is_none()) {
            continue;
        }
        let (text, goes_on) = line.trim().strip_suffix('\\').map_or((line.trim(), false), |text| (text.trim(), true));
        let instruction = match open.take() {
            Some(before) => Instruction { rest: format!("{} {text}", before.rest), ..before },
            None => {
                let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
                Instruction { line: index + 1, name: name.to_string(), rest: rest.trim().to_string() }
            }
        };
        if goes_on {
            open = Some(instruction);
        } else if instruction.name == "FROM" {
            stages.push(vec![instruction]);
        } else {
            stages.last_mut().expect("a Dockerfile begins with FROM").push(instruction);
        }
    }
    assert!(open.is_none(), "the Dockerfile ends in the midst of an instruction");
    stages
}

fn last_stage() -> Vec<Instruction> {
    stages().pop().expect("the Dockerfile has a stage")
}

fn named<'a>(stage: &'a [Instruction], name: &str) -> &'a Instruction {
    stage.iter().find(|instruction| instruction.name == name).unwrap_or_else(|| panic!("the last stage has no {name}"))
}

/// What the binary's help names.
fn subcommands() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_deskbridge")).arg("--help").output().expect("the binary runs");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    let listed = text.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with(' ') || line.is_empty());
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_string).collect()
}

#[test]
fn the_image_copies_what_is_there() {
    const EXCEPTIONS: &[Exception] = &[];
    let ignored = read(".dockerignore");
    let ignored: Vec<&str> = ignored.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let mut found = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for stage in stages() {
        for instruction in stage.iter().filter(|instruction| ["COPY", "ADD"].contains(&instruction.name.as_str())) {
            let arguments = instruction.arguments();
            let (_, from) = arguments.split_last().expect("COPY says where to");
            match instruction.option("--from") {
                Some(stage) if !names.iter().any(|name| name == stage) => {
                    found.push(instruction.fault("no such stage"))
                }
                Some(_) if !from.iter().all(|path| path.ends_with("target/release/deskbridge")) => {
                    found.push(instruction.fault("the binary is target/release/deskbridge"));
                }
                Some(_) => {}
                None => {
                    let missing = from.iter().filter(|path| !root().join(path).exists() || ignored.contains(path));
                    found.extend(missing.map(|path| instruction.fault(format!("{path} is not there, or left out"))));
                }
            }
        }
        names.extend(stage[0].rest.split(" AS ").nth(1).map(str::to_string));
    }
    for needed in ["src", "migrations", "config", "zendesk-sim", "openapi-check", "Cargo.lock", "Cargo.toml"] {
        if ignored.contains(&needed) || !root().join(needed).exists() {
            found.push(Fault::new(".dockerignore", 0, format!("{needed} is built from and must not be left out")));
        }
    }
    for kept_out in [".git", "secrets", "**/target"] {
        if !ignored.contains(&kept_out) {
            found.push(Fault::new(".dockerignore", 0, format!("{kept_out} has no place in an image")));
        }
    }
    hold("The image is built from what is there", &found, EXCEPTIONS);
}

#[test]
fn the_image_starts_what_the_binary_has() {
    let stage = last_stage();
    let commands = subcommands();
    let mut found = Vec::new();
    let program = named(&stage, "ENTRYPOINT").exec().expect("ENTRYPOINT needs no shell");
    let copied = named(&stage, "COPY").arguments().last().map(ToString::to_string).unwrap_or_default();
    if program != [copied.as_str()] {
        found.push(named(&stage, "ENTRYPOINT").fault(format!("the binary is at {copied}")));
    }
    for (name, skipped) in [("CMD", 0), ("HEALTHCHECK", 1)] {
        let instruction = named(&stage, name);
        match instruction.exec() {
            None => found.push(instruction.fault("needs a shell, and the image has none")),
            Some(list) if !list.get(skipped).is_some_and(|command| commands.contains(command)) => {
                found.push(instruction.fault(format!("the binary has no such command; it has {commands:?}")));
            }
            Some(list) if skipped == 1 && list[0] != program[0] => found.push(instruction.fault("is another program")),
            Some(_) => {}
        }
    }
    for (line, text) in lines("compose.yaml").into_iter().filter(|(_, text)| text.trim().starts_with("command: [")) {
        let command = text.split(['[', ',', ']']).nth(1).unwrap_or_default().trim();
        if !commands.contains(command) {
            found.push(Fault::new("compose.yaml", line, format!("the binary has no command {command}: {commands:?}")));
        }
    }
    hold("What the image starts, the binary has", &found, &[]);
}

fn lines(path: &str) -> Vec<(usize, String)> {
    read(path).lines().enumerate().map(|(index, line)| (index + 1, line.to_string())).collect()
}

#[test]
fn the_image_is_nobodys_and_keeps_no_secret() {
    const EXCEPTIONS: &[Exception] = &[];
    let stage = last_stage();
    let mut found = Vec::new();
    let user = named(&stage, "USER");
    let ids: Vec<Option<u32>> = user.rest.split(':').map(|id| id.parse().ok()).collect();
    if !ids.iter().all(|id| id.is_some_and(|id| id > 0)) {
        found.push(user.fault("must be numbers above 0, which an orchestrator can check"));
    }
    for instruction in
        stages().iter().flatten().filter(|instruction| ["ENV", "ARG"].contains(&instruction.name.as_str()))
    {
        let name = instruction.rest.to_ascii_uppercase();
        if ["SECRET", "PASSWORD", "TOKEN", "KEY", "DATABASE__URL"].iter().any(|word| name.contains(word)) {
            found.push(instruction.fault("a secret has no place in an image"));
        }
    }
    let exposed: BTreeSet<&str> = named(&stage, "EXPOSE").arguments().into_iter().collect();
    let ports = ports();
    if exposed != ports.iter().map(String::as_str).collect() {
        found.push(named(&stage, "EXPOSE").fault(format!("{DEFAULTS} listens on {ports:?}")));
    }
    let rust = manifest_value("rust-version");
    let image = &stages()[0][0];
    let version = image.rest.split(['/', ':', '-']).find(|part| part.starts_with("1.")).unwrap_or_default();
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    if numbers(version) < numbers(&rust) {
        found.push(image.fault(format!("Cargo.toml asks for Rust {rust}")));
    }
    hold("The image runs as nobody, exposes what is listened on and holds no secret", &found, EXCEPTIONS);
}

fn manifest_value(key: &str) -> String {
    let begin = format!("{key} = \"");
    let value =
        read("Cargo.toml").lines().find_map(|line| Some(line.strip_prefix(&begin)?.split('"').next()?.to_string()));
    value.unwrap_or_else(|| panic!("Cargo.toml has no {key}"))
}

/// Keys of the defaults with their lines, their texts, and whether a comment stands above.
fn defaults() -> BTreeMap<String, (usize, String, bool)> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    let mut explained = false;
    for (line, text) in lines(DEFAULTS) {
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            section = name.to_string();
        } else if let Some((key, value)) = text.split_once(" = ").filter(|_| !text.starts_with('#')) {
            let key = if section.is_empty() { key.to_string() } else { format!("{section}.{key}") };
            keys.insert(key, (line, value.trim_matches('"').to_string(), explained));
        }
        explained = text.starts_with('#');
    }
    keys
}

fn ports() -> BTreeSet<String> {
    let defaults = defaults();
    let port = |key: &str| defaults[key].1.rsplit(':').next().unwrap_or_default().to_string();
    [port("public.listen"), port("admin.listen")].into()
}

#[test]
fn every_setting_is_explained() {
    const EXCEPTIONS: &[Exception] = &[];
    let mut found = Vec::new();
    let defaults = defaults();
    for (key, (line, _, _)) in defaults.iter().filter(|(_, (_, _, explained))| !explained) {
        found.push(Fault::new(DEFAULTS, *line, format!("{key} has no comment above it")));
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let has_table = rows.iter().any(|row| row.contains("database.max_connections"));
    for (key, (line, ..)) in defaults.iter().filter(|_| has_table) {
        if !rows.iter().any(|row| row.contains(&format!("`{key}`"))) {
            found.push(Fault::new(DEFAULTS, *line, format!("{key} is not in the README's table of settings")));
        }
    }
    hold("Every setting is explained", &found, EXCEPTIONS);
    assert!(defaults.len() > 30, "{defaults:?}");
}

#[test]
fn the_defaults_need_two_secrets_only() {
    let settings = Settings::from_variables(&NEEDED).expect("the defaults load with the two secrets");
    assert!(settings.admin.listen.ip().is_loopback(), "the admin listener is for this machine by default");
    let one = Settings::from_variables(&NEEDED[..1]).expect_err("the database is needed").to_string();
    assert!(one.contains("database.url"), "{one}");
    let other = Settings::from_variables(&NEEDED[1..]).expect_err("the key is needed").to_string();
    assert!(other.contains("secret_key"), "{other}");
}

#[test]
fn compose_sets_what_there_is() {
    const EXCEPTIONS: &[Exception] = &[];
    let defaults = defaults();
    let mut found = Vec::new();
    let mut variables = NEEDED.to_vec();
    let compose = lines("compose.yaml");
    for (line, text) in &compose {
        let Some((name, value)) = text.trim().split_once(": ").filter(|(name, _)| name.starts_with("DESKBRIDGE"))
        else {
            continue;
        };
        let name_of_secret = name.strip_suffix("_FILE").filter(|name| SECRETS.contains(name));
        let key = name.trim_start_matches("DESKBRIDGE__").replace("__", ".").to_ascii_lowercase();
        let fault = |what: &str| Fault::new("compose.yaml", *line, format!("{name}: {what}"));
        if SECRETS.contains(&name) {
            found.push(fault("a secret comes from a file, by the variable with _FILE at its end"));
        } else if name_of_secret.is_some() && !value.starts_with("/run/secrets/") {
            found.push(fault("a secret's file is below /run/secrets/"));
        } else if name_of_secret.is_none() && !defaults.contains_key(&key) {
            found.push(fault(&format!("{DEFAULTS} has no key {key}")));
        } else if name_of_secret.is_none() {
            let value =
                if value.starts_with("${") { value.split([':', '-', '}']).nth(2).unwrap_or_default() } else { value };
            variables.push((name, value));
        }
    }
    hold("What compose.yaml sets, there is", &found, EXCEPTIONS);
    let settings = Settings::from_variables(&variables).expect("the daemon starts with what compose.yaml sets");
    let grace = compose.iter().find_map(|(_, text)| text.trim().strip_prefix("stop_grace_period: "));
    let grace = grace.and_then(|text| text.split('s').next()?.parse().ok()).unwrap_or(0);
    assert!(settings.shutdown.grace_secs < grace, "the engine kills before shutdown.grace_secs is over");
    let published = compose.iter().find_map(|(_, text)| text.trim().strip_prefix("ports: ")).unwrap_or_default();
    let published: Vec<String> = serde_json::from_str(published).expect("ports are a list of texts");
    let (public, admin) = (settings.public.listen.port(), settings.admin.listen.port());
    assert_eq!(published, [format!("{public}:{public}"), format!("127.0.0.1:{admin}:{admin}")]);
}

#[test]
fn compose_secrets_are_files() {
    let mut found = Vec::new();
    let compose = lines("compose.yaml");
    let inside = compose.iter().skip_while(|(_, text)| text != "secrets:").skip(1);
    let defined: BTreeSet<&str> =
        inside.filter_map(|(_, text)| text.trim().split_once(": {file: ./secrets/")).map(|(name, _)| name).collect();
    for (line, text) in &compose {
        if let Some((_, used)) = text.split_once("/run/secrets/").filter(|_| !text.trim_start().starts_with('#'))
            && !defined.contains(used.trim())
        {
            found.push(Fault::new("compose.yaml", *line, format!("no secret {used} is defined: {defined:?}")));
        }
        let name = text.trim().split(':').next().unwrap_or_default();
        if name.contains("PASSWORD") && !name.ends_with("_FILE") {
            found.push(Fault::new("compose.yaml", *line, format!("{name} is a secret in clear")));
        }
    }
    hold("Secrets are files", &found, &[]);
    assert!(
        read(".gitignore").lines().any(|line| line.trim_matches('/') == "secrets"),
        "secrets/ must not be committed"
    );
}
