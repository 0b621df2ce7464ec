//! Definitions given as files.

use super::error::usage;
use std::io::Read;
use std::path::Path;

/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The text of a file; of stdin for `-`.
pub fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let wrong = |error: std::io::Error| usage(format!("{}: {error}", path.display()), "give the file of a definition");
    let taken = match path.to_str() {
        Some("-") => std::io::stdin().take(LARGEST + 1).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text)),
    };
    if taken.map_err(wrong)? as u64 > LARGEST {
        return Err(usage(format!("{} is larger than 1 MiB", path.display()), "give the file of a definition"));
    }
    Ok(text)
}
