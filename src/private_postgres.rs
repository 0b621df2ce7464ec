//! A Postgres of one's own for tests, benchmarks and the demonstration: on a private socket, gone with its owner.
//!
//! A small watchdog starts the server, and stops it when the pipe from its owner closes: by `stop`, by `Drop`, or
//! because the owner was killed. A lock on `dir/owner`, held by owner and watchdog, keeps a second owner out until the
//! watchdog is through. Should the watchdog be killed too, the next start ends what it left.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader, Write},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::config::env_var;

/// All in one folder: a folder that has only some of them is not asked.
const PROGRAMS: [&str; 4] = ["initdb", "pg_ctl", "postgres", "createdb"];
const DEBIAN: &str = "/usr/lib/postgresql";
/// Variables that would make the programs talk to another server.
const MISLEADING: [&str; 7] = ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGSERVICE"];
const WATCHDOG: &str = r#"
trap '' PIPE
pg_ctl=$1/pg_ctl data=$2 log=$3 socket=$4 keep=$5 settings=$6
if "$pg_ctl" -D "$data" -l "$log" -o "$settings" -w -t 60 start >/dev/null; then
    echo ready
    read -r _
    "$pg_ctl" -D "$data" -m fast -w -t 60 stop >/dev/null || "$pg_ctl" -D "$data" -m immediate -w stop >/dev/null
    [ "$keep" = yes ] || rm -rf "$data" "$log"
fi
rm -rf "$socket"
"#;

/// How a private server is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether what is committed survives a crash of the machine. Off is faster: for tests.
    pub durable: bool,
    /// Whether the data stays in the folder for the next start.
    pub keep: bool,
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    /// PostgreSQL is not installed.
    #[error(
        "no folder with the programs of PostgreSQL ({}) in PG_BIN_DIR, PATH or {DEBIAN}/*/bin; install the \
         Debian or Ubuntu package: apt-get install postgresql",
        PROGRAMS.join(", ")
    )]
    NotInstalled,
    /// A live process runs a server in this folder.
    #[error("the folder {0} is in use by the Postgres of process {1}; end that process or choose another folder")]
    InUse(PathBuf, String),
    /// Postgres refuses to run as root, and its user cannot get into the folder.
    #[error("the user {user} cannot enter {at}, needed to reach the folder; choose one such as /tmp/deskbridge")]
    Closed {
        /// Whom the server would run as.
        user: String,
        /// The folder without permission.
        at: PathBuf,
    },
    /// A file or folder cannot be made, read or given away.
    #[error("cannot use {0} for the private Postgres; check its permissions and free space")]
    Folder(PathBuf, #[source] io::Error),
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed in {dir}: {said}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// The server's folder.
        dir: PathBuf,
        /// The end of what it printed.
        said: String,
    },
}

type Result<T> = std::result::Result<T, PrivatePostgresError>;

/// A running private server. Its calls block: they start programs and wait for them.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: Programs,
    socket: PathBuf,
    watchdog: Child,
    /// Locked while the server runs.
    _owner: File,
}

impl PrivatePostgres {
    /// Starts a server with its data in `dir`, made when missing.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, `dir` is in use or cannot be used, or the server does not start.
    pub fn start(dir: &Path, options: Options) -> Result<Self> {
        let at = |path: &Path| {
            let path = path.to_owned();
            |error| PrivatePostgresError::Folder(path, error)
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let dir = dir.canonicalize().map_err(at(dir))?;
        let programs = Programs::find(&dir)?;
        let owner = take(&dir)?;
        programs.user.give(&dir).map_err(at(&dir))?;
        let data = dir.join("data");
        if data.join("postmaster.pid").exists() {
            // Left by an owner and a watchdog that were both killed; pg_ctl knows whether the process still lives.
            let _ = programs.run("pg_ctl", &["stop", "-m", "immediate", "-w", "-D", &text(&data)]);
        }
        if data.exists() && !options.keep {
            fs::remove_dir_all(&data).map_err(at(&data))?;
        }
        if !data.join("PG_VERSION").exists() {
            programs.initialise(&data, options.durable)?;
        }
        let socket = programs.socket_folder(&dir)?;
        let mut server = Self {
            watchdog: programs.watch(&dir, &socket, options, &owner).map_err(at(&dir))?,
            programs,
            socket,
            _owner: owner,
        };
        if server.is_ready() {
            return Ok(server);
        }
        let said =
            [dir.join("owner"), dir.join("postgres.log")].map(|file| fs::read_to_string(file).unwrap_or_default());
        Err(PrivatePostgresError::Failed { program: "pg_ctl start", said: ending(&said.concat()), dir })
    }

    /// Waits for the watchdog's word; false when it ended without.
    fn is_ready(&mut self) -> bool {
        let mut line = String::new();
        let output = self.watchdog.stdout.take().map(BufReader::new);
        output.is_some_and(|mut output| output.read_line(&mut line).is_ok()) && line == "ready\n"
    }

    /// The URL of a database of this server, for any Postgres client.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost:5432/{database}?host={}", self.socket.display())
    }

    /// What to type to look into a database of this server.
    #[must_use]
    pub fn psql_line(&self, database: &str) -> String {
        format!("psql '{}'", self.url(database))
    }

    /// Creates a database, as a copy of `template` if there is one (nobody may be connected to it).
    ///
    /// # Errors
    /// With what Postgres said, for instance that the name is taken.
    pub fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let (host, template) = (text(&self.socket), template.unwrap_or("template1"));
        let server = ["-h", &host, "-p", "5432", "-U", "postgres", "-T", template, "--", name];
        self.programs.run("createdb", &server)
    }

    /// Ends the server, and its connections with it, and waits until it has. A second time does nothing.
    pub fn stop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Fails only when it has been waited for.
        let _ = self.watchdog.wait();
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where PostgreSQL's programs are, and whom they run as.
#[derive(Debug)]
struct Programs {
    bin: PathBuf,
    user: User,
    dir: PathBuf,
}

impl Programs {
    fn find(dir: &Path) -> Result<Self> {
        let given = env_var("PG_BIN_DIR").map(PathBuf::from);
        let path = env_var("PATH").unwrap_or_default();
        let bin = given
            .into_iter()
            .chain(std::env::split_paths(&path))
            .chain(debian(Path::new(DEBIAN)))
            .find(|bin| PROGRAMS.iter().all(|program| bin.join(program).is_file()))
            .ok_or(PrivatePostgresError::NotInstalled)?;
        let user = User::find(dir)?;
        let dir = dir.to_owned();
        Ok(Self { bin, user, dir })
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir("/tmp").env("LC_ALL", "C");
        for name in MISLEADING {
            command.env_remove(name);
        }
        if self.user.is_other {
            command.uid(self.user.uid).gid(self.user.gid);
        }
        command
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(self.bin.join(program));
        let said = match command.args(arguments).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => ending(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => error.to_string(),
        };
        let dir = self.dir.clone();
        Err(PrivatePostgresError::Failed { program, dir, said })
    }

    fn initialise(&self, data: &Path, durable: bool) -> Result<()> {
        let data = text(data);
        let mut arguments = vec!["-D", &data, "-U", "postgres", "--auth=trust"];
        arguments.extend(["--encoding=UTF8", "--locale=C.UTF-8"]);
        if !durable {
            arguments.push("--no-sync");
        }
        self.run("initdb", &arguments)
    }

    /// A folder with a short path, since a socket's may have 107 bytes, that only the server's user can enter.
    fn socket_folder(&self, dir: &Path) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        dir.hash(&mut hasher);
        let socket = PathBuf::from(format!("/tmp/deskbridge-pg-{:016x}", hasher.finish()));
        let made = match DirBuilder::new().mode(0o700).create(&socket) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Ours from before, or somebody's trap.
                match fs::symlink_metadata(&socket) {
                    Ok(found) if found.is_dir() && found.uid() == self.user.uid => Ok(()),
                    _ => Err(error),
                }
            }
            made => made.and_then(|()| self.user.give(&socket)),
        };
        made.map_err(|error| PrivatePostgresError::Folder(socket.clone(), error))?;
        Ok(socket)
    }

    fn watch(&self, dir: &Path, socket: &Path, how: Options, owner: &File) -> io::Result<Child> {
        let mut settings =
            format!("-k {} -p 5432 -c listen_addresses= -c max_connections=200 -c timezone=UTC", socket.display());
        if !how.durable {
            settings += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off";
            settings += " -c wal_level=minimal -c max_wal_senders=0";
        }
        self.command("/bin/sh")
            .args(["-c", WATCHDOG, "deskbridge-postgres"])
            .args([&self.bin, &dir.join("data"), &dir.join("postgres.log"), socket])
            .args([if how.keep { "yes" } else { "no" }, &settings])
            .process_group(0) // Ctrl-C is for the owner, who needs the server to the end
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(owner.try_clone()?) // and with it the lock
            .spawn()
    }
}

/// Whom the server runs as: ourselves, or somebody else when we are root.
#[derive(Debug)]
struct User {
    uid: u32,
    gid: u32,
    is_other: bool,
}

impl User {
    fn find(dir: &Path) -> Result<Self> {
        let failed = |path: &str, error| PrivatePostgresError::Folder(path.into(), error);
        let ours = fs::metadata("/proc/self").map_err(|error| failed("/proc/self", error))?;
        let (uid, gid) = (ours.uid(), ours.gid());
        if uid != 0 {
            let is_other = false;
            return Ok(Self { uid, gid, is_other });
        }
        let users = fs::read_to_string("/etc/passwd").map_err(|error| failed("/etc/passwd", error))?;
        let (name, uid, gid) = ["postgres", "nobody"]
            .iter()
            .find_map(|name| account(&users, name))
            .ok_or_else(|| failed("/etc/passwd", io::Error::other("no user postgres or nobody")))?;
        for at in dir.ancestors().skip(1) {
            let mode = fs::metadata(at).map_or(0, |found| found.permissions().mode());
            if mode & 0o001 == 0 {
                let (user, at) = (name, at.to_owned());
                return Err(PrivatePostgresError::Closed { user, at });
            }
        }
        let is_other = true;
        Ok(Self { uid, gid, is_other })
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        if self.is_other {
            chown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }
}

/// Makes this process the owner of `dir`, waiting for the watchdog of an owner that is no more.
fn take(dir: &Path) -> Result<File> {
    let path = dir.join("owner");
    let failed = |error| PrivatePostgresError::Folder(path.clone(), error);
    let mut options = File::options();
    let mut file = options.create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let found = fs::read_to_string(&path).map_err(failed)?;
            let pid = found.lines().next().unwrap_or_default();
            if Path::new("/proc").join(pid).exists() {
                return Err(PrivatePostgresError::InUse(dir.to_owned(), pid.to_owned()));
            }
            file.lock().map_err(failed)?;
        }
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

/// Debian's folders of programs, the highest version first.
fn debian(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut versions: Vec<u32> = versions.collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let bin = |version: u32| root.join(version.to_string()).join("bin");
    versions.into_iter().map(bin).collect()
}

/// Name, user id and group id of an account in the text of /etc/passwd.
fn account(users: &str, name: &str) -> Option<(String, u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        found.then_some((name.to_owned(), uid, gid))
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The last lines of what a program printed.
fn ending(printed: &str) -> String {
    let lines: Vec<&str> = printed.trim().lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("deskbridge-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_kept_server_is_found_again_and_has_one_owner() {
        let dir = folder("kept");
        let kept = Options { durable: false, keep: true };
        let mut first = PrivatePostgres::start(&dir, kept).unwrap();
        first.create_database("one", None).unwrap();
        first.create_database("two", Some("one")).unwrap();
        assert!(first.create_database("one", None).unwrap_err().to_string().contains("already exists"));
        let second = PrivatePostgres::start(&dir, kept).unwrap_err();
        assert!(matches!(second, PrivatePostgresError::InUse(..)), "{second}");
        first.stop();
        first.stop();
        drop(first);
        let again = PrivatePostgres::start(&dir, kept).unwrap();
        assert!(again.create_database("two", None).is_err());
        assert!(again.psql_line("two").starts_with("psql 'postgres://postgres@localhost"));
        drop(again);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_killed_processes_left_is_swept() {
        let dir = folder("killed");
        let mut server = PrivatePostgres::start(&dir, Options::default()).unwrap();
        server.watchdog.kill().unwrap();
        drop(server);
        assert!(dir.join("data/postmaster.pid").exists(), "the server outlives its watchdog");
        let again = PrivatePostgres::start(&dir, Options::default()).unwrap();
        again.create_database("one", None).unwrap();
        drop(again);
        assert!(!dir.join("data").exists(), "nothing is kept");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn accounts_are_read_from_the_list() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(account(users, "nobody"), Some(("nobody".into(), 65534, 65533)));
        assert_eq!(account(users, "postgres"), None);
    }

    #[test]
    fn the_highest_version_comes_first() {
        let dir = folder("versions");
        for version in ["9", "17", "15", "common"] {
            fs::create_dir_all(dir.join(version)).unwrap();
        }
        let found = debian(&dir);
        assert_eq!(found.len(), 3);
        assert!(found[0].ends_with("17/bin") && found[2].ends_with("9/bin"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
