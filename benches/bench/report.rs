//! What was measured: medians with their spread, as a table and as JSON.

use anyhow::Result;
use serde_json::{Map, Value, json};

/// Everything measured so far, in the order of the table.
pub struct Report {
    rows: Vec<(&'static str, Vec<f64>)>,
}

/// Least or most that must be reached.
const FLOORS: [(&str, f64, bool); 4] = [
    ("first_sync_users_per_s", 10_000.0, true),
    ("intake_acks_per_s", 8_000.0, true),
    ("resync_tuples_written", 0.0, false),
    ("peak_rss_mib", 150.0, false),
];

/// Goals of a later issue.
const GOALS: [(&str, f64); 9] = [
    ("first_sync_ratio_to_copy", 0.5),
    ("intake_ratio_to_no_database", 0.3),
    ("cost_of_100_audiences", 2.0),
    ("membership_10_audiences_p99_ms", 1000.0),
    ("membership_100_audiences_p99_ms", 1000.0),
    ("diff_rows_per_s", 100_000.0),
    ("diff_peak_rss_mib", 150.0),
    ("sent_share_of_allowed_rate", 0.98),
    ("change_to_sent_p99_ms", 3000.0),
];

impl Report {
    /// Nothing yet.
    pub fn new() -> Report {
        Report { rows: Vec::new() }
    }

    /// Adds one measurement.
    pub fn add(&mut self, name: &'static str, value: f64) {
        eprintln!("    {name} = {}", shown(value));
        match self.rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.rows.push((name, vec![value])),
        }
    }

    /// The most of what was measured under these names.
    pub fn most(&self, names: &[&str]) -> f64 {
        let values = self.rows.iter().filter(|(name, _)| names.contains(name)).flat_map(|(_, values)| values);
        values.copied().fold(0.0, f64::max)
    }

    /// The median of what was measured under this name.
    pub fn median(&self, name: &str) -> f64 {
        self.rows.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, values)| spread(values).0)
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("\n{:<34} {:>12} {:>12} {:>12}", "", "median", "min", "max");
        for (name, values) in &self.rows {
            let (median, min, max) = spread(values);
            let shown = [median, min, max].map(shown);
            println!("{name:<34} {:>12} {:>12} {:>12}  {}", shown[0], shown[1], shown[2], verdict(name, median));
        }
        println!(
            "\n{} cores, shared by the daemon, Postgres, the simulated Zendesk and the load; load {}.",
            cores(),
            load()
        );
        println!("Figures move with the machine; the ratios were taken side by side.");
    }

    /// Writes the medians, and beside them the spread.
    pub fn write(&self, path: &str) -> Result<()> {
        let mut all = Map::new();
        let mut spreads = Map::new();
        for (name, values) in &self.rows {
            let (median, min, max) = spread(values);
            all.insert((*name).to_string(), json!(rounded(median)));
            spreads
                .insert((*name).to_string(), json!({"min": rounded(min), "max": rounded(max), "runs": values.len()}));
        }
        all.insert("spread".into(), Value::Object(spreads));
        all.insert("cores".into(), json!(cores()));
        all.insert("load_average".into(), json!(load()));
        if let Some(folder) = std::path::Path::new(path).parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
        Ok(())
    }
}

fn verdict(name: &str, value: f64) -> String {
    if let Some((_, floor, least)) = FLOORS.iter().find(|(known, ..)| *known == name) {
        let holds = if *least { value >= *floor } else { value <= *floor };
        let words = if *least { "at least" } else { "at most" };
        return format!("{} floor: {words} {floor}", if holds { "ok  " } else { "MISS" });
    }
    GOALS.iter().find(|(known, _)| *known == name).map_or_else(String::new, |(_, goal)| format!("     goal: {goal}"))
}

/// Median, least and most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let median = (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0;
    (median, sorted[0], sorted[last])
}

fn shown(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_string()
}
