//! A journal of life, so that an account can be brought back: a seed makes its past, the acts written here the rest.
//!
//! Life draws from a generator of its own, so an act is repeated exactly by letting it happen again at the same second,
//! in the same order. The first line says what the account was made from; each further line is an act: its second, and
//! a digest of what was said to have happened, by which a journal of another version is recognised. Only life is
//! written down: what the API or the admin door's single acts change is not.
use crate::life::{generate, step};
use crate::options::Options;
use crate::time::Stamp;
use crate::world::World;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A journal that is open for more.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

/// Makes the account: a new one at `now`, or the one that the journal tells of. Answers the time it has reached, too.
///
/// # Errors
/// When the journal cannot be read or written, or is that of another account.
pub fn make_world(options: &Options, now: Stamp) -> io::Result<(World, Option<Journal>, Stamp)> {
    let Some(path) = options.journal.as_deref() else { return Ok((furnished(options, now), None, now)) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    // An act whose line has no end was seen by nobody.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines();
    let Some(head) = lines.next() else { return begin(options, now, path) };
    let head: Value = serde_json::from_str(head).unwrap_or_default();
    let made = head["start"].as_str().and_then(Stamp::parse).ok_or_else(|| other(path, "has no beginning"))?;
    if head["made_from"] != made_from(options) {
        return Err(other(path, "is of an account with other settings"));
    }
    let mut world = furnished(options, made);
    let mut reached = made;
    for (number, line) in lines.enumerate() {
        let words = line.split_once(' ').and_then(|(at, digest)| Some((Stamp::parse(at)?, digest)));
        let (at, digest) = words.ok_or_else(|| other(path, &format!("is damaged in line {}", number + 2)))?;
        if happen(&mut world, at) != digest {
            return Err(other(path, "was written by another version of this program"));
        }
        reached = reached.max(at);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(whole.len() as u64)?;
    drop(file);
    let file = OpenOptions::new().append(true).open(path)?;
    // What is random beside life (ids of webhook events) must not come again.
    let news = options.seed ^ (reached.max(now).0 as u64).rotate_left(32);
    world.chance = ChaCha8Rng::seed_from_u64(news);
    Ok((world, Some(Journal { file }), now.max(reached)))
}

fn begin(options: &Options, now: Stamp, path: &Path) -> io::Result<(World, Option<Journal>, Stamp)> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    writeln!(file, "{}", json!({"start": now, "made_from": made_from(options)}))?;
    Ok((furnished(options, now), Some(Journal { file }), now))
}

fn furnished(options: &Options, now: Stamp) -> World {
    let mut world = World::new(options, now);
    generate::furnish(&mut world, options, now);
    world
}

fn made_from(options: &Options) -> Value {
    json!([
        options.subdomain,
        options.users,
        options.organizations,
        options.tickets,
        options.agents,
        options.seed,
        options.history_days,
        options.surveys
    ])
}

fn other(path: &Path, words: &str) -> io::Error {
    io::Error::other(format!("the journal {} {words}; remove it to begin anew", path.display()))
}

/// Lets one thing happen and answers the digest of what was said of it.
fn happen(world: &mut World, at: Stamp) -> String {
    let before = world.next_act();
    step::act(world, at);
    let mut hasher = Sha256::new();
    for act in world.acts.iter().rev().take_while(|act| act.seq >= before) {
        hasher.update(act.kind);
        hasher.update(&act.text);
    }
    hasher.finalize()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets one act of life happen and writes it down. The caller holds the account, so nobody sees an act that is not written.
pub fn live(world: &mut World, journal: Option<&mut Journal>, now: Stamp) {
    let Some(journal) = journal else { return step::act(world, now) };
    let digest = happen(world, now);
    // A full disk must not end the account; the next start then tells of a damaged journal.
    let _ = journal.file.write_all(format!("{now} {digest}\n").as_bytes());
}
