//! Processes beside this one: the daemon, and this same program in another role. They end with their owner.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process in another role.
pub struct Role {
    child: Child,
}

impl Role {
    /// Starts `serve`, the daemon, or another role with these variables. What it prints goes to `log`.
    pub fn start(word: &str, variables: &[(String, String)], log: &Path) -> Result<Role> {
        let log = File::options().create(true).append(true).open(log)?;
        let program = match word {
            "serve" => env!("CARGO_BIN_EXE_deskbridge").into(),
            _ => std::env::current_exe()?,
        };
        let mut command = Command::new(program);
        command.arg(word).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Ok(Role { child: command.spawn()? })
    }

    /// Starts a role that says one line once it is ready. Answers the line.
    pub fn start_talking(words: &[&str]) -> Result<(Role, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "{words:?} ended before it was ready");
        Ok((Role { child }, line))
    }

    /// The most memory it has had resident so far, in MiB.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time it has had so far.
    pub fn cpu_secs(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<f64> = after_name.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
        Ok(ticks.iter().sum::<f64>() / 100.0)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Roles end with their input, the daemon by a signal; what does not end is ended.
        drop(self.child.stdin.take());
        _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
