//! The demo's folder: one owner at a time, a key, and what a second run must know of the first.

use super::outcome::DemoError;
use super::words::say;
use crate::config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where it is looked for free ports: below those that the system hands out by itself.
const PORTS: std::ops::Range<u16> = 14_010..14_990;

/// What the first run has settled and a second one keeps to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// Customers of the simulated account.
    pub users: u32,
    /// Its tickets.
    pub tickets: u32,
    /// The first of three ports: simulated Zendesk, webhooks, metrics.
    pub port: u16,
}

/// The folder, ours as long as this lives.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder `name` in the current one; under `/tmp` if Postgres could not get into it there.
    pub fn take(name: &str) -> Result<Folder, DemoError> {
        let here = config::current_folder().map_err(|error| DemoError::file(Path::new("."), error))?;
        let is_root = fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
        let closed =
            here.ancestors().find(|folder| fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 1 == 0));
        let path = match closed {
            Some(closed) if is_root => {
                let mut hasher = DefaultHasher::new();
                here.join(name).hash(&mut hasher);
                let path = PathBuf::from(format!("/tmp/deskbridge-demo-{:08x}", hasher.finish() as u32));
                say(format_args!(
                    "Postgres does not run as root, and its user cannot enter {}: using {} instead of {name}",
                    closed.display(),
                    path.display()
                ));
                path
            }
            _ => here.join(name),
        };
        // As root, Postgres runs as somebody else, who has to pass through to its own folder.
        let mode = if is_root { 0o711 } else { 0o700 };
        match DirBuilder::new().recursive(name.contains('/')).mode(mode).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(DemoError::file(&path, error)),
            _ => {}
        }
        let found = fs::symlink_metadata(&path).map_err(|error| DemoError::file(&path, error))?;
        let ours = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == found.uid());
        if !found.is_dir() || !ours {
            return Err(DemoError::file(&path, std::io::Error::other("it is somebody else's")));
        }
        let lock = path.join("lock");
        let file = private().open(&lock).map_err(|error| DemoError::file(&lock, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Folder { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(DemoError::Running(path)),
            Err(TryLockError::Error(error)) => Err(DemoError::file(&lock, error)),
        }
    }

    /// A file or folder in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes all that is kept.
    pub fn clear(&self) -> Result<(), DemoError> {
        // The Postgres of a run that was killed may still be on its way out; its watchdog holds this lock until it is.
        let owner = self.file("postgres/owner");
        if let Ok(owner) = File::open(&owner) {
            owner.lock().map_err(|error| DemoError::file(&self.path, error))?;
        }
        for name in ["postgres", "once"] {
            match fs::remove_dir_all(self.file(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(DemoError::file(&self.file(name), error));
                }
                _ => {}
            }
        }
        for name in
            ["kept.json", "secret-key", "zendesk-journal", "zendesk-sim.log", "deskbridge.log", "differences.txt"]
        {
            match fs::remove_file(self.file(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(DemoError::file(&self.file(name), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The key that seals the demo's credentials, made when missing.
    pub fn secret_key(&self) -> Result<String, DemoError> {
        let path = self.file("secret-key");
        match fs::read_to_string(&path) {
            Ok(key) => return Ok(key.trim().to_string()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(DemoError::file(&path, error)),
            Err(_) => {}
        }
        let key = STANDARD.encode(rand::random::<[u8; 32]>());
        self.write("secret-key", &format!("{key}\n"))?;
        Ok(key)
    }

    /// A new file that nobody else may read.
    pub fn write(&self, name: &str, text: &str) -> Result<(), DemoError> {
        let path = self.file(name);
        let write = || private().truncate(true).open(&path)?.write_all(text.as_bytes());
        write().map_err(|error| DemoError::file(&path, error))
    }

    /// The log of the daemon, for more.
    pub fn log(&self) -> Result<File, DemoError> {
        let path = self.file("deskbridge.log");
        private().append(true).open(&path).map_err(|error| DemoError::file(&path, error))
    }

    /// What the run before has settled, if there was one.
    pub fn kept(&self) -> Option<Kept> {
        serde_json::from_str(&fs::read_to_string(self.file("kept.json")).ok()?).ok()
    }

    /// Settles what later runs keep to.
    pub fn keep(&self, kept: &Kept) -> Result<(), DemoError> {
        self.write("kept.json", &serde_json::to_string(kept).unwrap_or_default())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

/// The first of three free ports in a row; those of the run before, if they still are.
pub fn ports(before: Option<u16>) -> Result<u16, DemoError> {
    let is_free = |port: &u16| (*port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    before.into_iter().chain(PORTS.step_by(10)).find(is_free).ok_or(DemoError::NoPorts)
}
