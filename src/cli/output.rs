//! What commands print: aligned tables or JSON on stdout, times for people to read, and the question before a destruction.

use super::error::{Complaint, usage};
use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};
use serde_json::Value;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

/// How a command that lists or shows prints.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Format {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Prints a line to stdout. Whoever reads it may have gone (`| head`): that is no error.
pub fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints JSON, indented.
pub fn say_json(value: &Value) {
    say(format_args!("{value:#}"));
}

/// Prints a line to stderr: what is not the answer itself.
pub fn note(line: impl Display) {
    _ = writeln!(io::stderr().lock(), "{line}");
}

/// A text that cannot move the cursor or colour the terminal: names and subjects come from outside.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Rows under headings, in columns as wide as what stands in them.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; without any, a list of names and values.
    pub fn new(headings: &[&str]) -> Table {
        let rows = match headings {
            [] => Vec::new(),
            _ => vec![headings.iter().map(|heading| heading.to_uppercase()).collect()],
        };
        Table { rows }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Display>) -> &mut Table {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell.to_string())).collect());
        self
    }

    /// Prints it.
    pub fn print(&self) {
        for line in self.lines() {
            say(line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let padded =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
        };
        self.rows.iter().map(line).collect()
    }
}

/// A time as it stands in tables.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time with how long ago it was, or how soon it will be.
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", time(at), distance(at, now))
}

/// How long ago a time was, or how soon it will be.
pub fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let away = (at - now).abs();
    if away < Duration::seconds(2) {
        return "now".to_string();
    }
    let words = match away.num_seconds() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7_200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if at > now { format!("in {words}") } else { format!("{words} ago") }
}

/// A time as it is typed: `2026-01-31`, `2026-01-31T08:00:00Z`, or how long ago: `30d`, `12h`, `15m`.
pub fn parse_time(text: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    if let Some(midnight) = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)) {
        return Ok(midnight.and_utc());
    }
    let ago = text.char_indices().last().and_then(|(end, unit)| {
        let count: i64 = text[..end].parse().ok().filter(|count| *count >= 0)?;
        match unit {
            'd' => Duration::try_days(count),
            'h' => Duration::try_hours(count),
            'm' => Duration::try_minutes(count),
            _ => None,
        }
    });
    ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        usage(
            format!("{text:?} is no time"),
            "give a date (2026-01-31), a time (2026-01-31T08:00:00Z) or how long ago (30d, 12h, 15m)",
        )
    })
}

/// Asks before something is destroyed. Without a terminal and without `--yes` nothing is.
pub fn confirm(yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(usage("this needs a yes, and there is no terminal to ask on; nothing was changed", "add --yes"));
    }
    let mut err = io::stderr().lock();
    _ = write!(err, "Type yes to go on: ").and_then(|()| err.flush());
    let mut answer = String::new();
    _ = io::stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "yes" => Ok(()),
        _ => {
            _ = writeln!(err, "Nothing was changed.");
            Err(Complaint::Said.into())
        }
    }
}

/// A remedy with the source's name in place of the word NAME.
pub fn named(remedy: &str, source: &str) -> String {
    plain(&remedy.replace("NAME", source))
}

/// A number and its noun.
pub fn count(number: impl Into<i128>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["name", "state"]);
        table.row(["acme", "connected"]).row(["a-longer-name", "\u{1b}[31mred"]).row(["이지우", "x"]);
        let expected =
            ["NAME           STATE", "acme           connected", "a-longer-name   [31mred", "이지우         x"];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn times_are_read_as_they_are_typed() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("2026-01-31", Some("2026-01-31T00:00:00Z")),
            ("2026-01-31T08:00:00+02:00", Some("2026-01-31T06:00:00Z")),
            ("30d", Some("2026-10-22T12:00:00Z")),
            ("12h", Some("2026-11-21T00:00:00Z")),
            ("-1d", None),
            ("99999999999999d", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text, now).ok().map(time).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn distances_are_short() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        assert_eq!(distance(now, now), "now");
        assert_eq!(distance(now - Duration::minutes(5), now), "5 min ago");
        assert_eq!(distance(now + Duration::hours(23), now), "in 23 h");
        assert_eq!(distance(now - Duration::days(90), now), "90 days ago");
    }
}
