//! Faults with their places, and the exceptions from a rule: each has its reason, and goes when it is not needed any more.

/// A place where a rule is broken.
pub struct Fault {
    /// File, from the repository's root.
    pub path: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is there.
    pub what: String,
}

/// What is allowed although the rule says no: file, what is there (a part of the fault's text), and why.
pub type Exception = (&'static str, &'static str, &'static str);

impl Fault {
    /// A fault at a place.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Fault {
        Fault { path: path.to_string(), line, what: what.into() }
    }

    fn is(&self, (path, what, _): &Exception) -> bool {
        self.path == *path && self.what.contains(what)
    }
}

/// Fails when there is a fault that no exception allows, or an exception without a fault.
#[track_caller]
pub fn hold(rule: &str, faults: &[Fault], exceptions: &[Exception]) {
    let mut lines: Vec<String> = Vec::new();
    for fault in faults.iter().filter(|fault| !exceptions.iter().any(|exception| fault.is(exception))) {
        let line = if fault.line == 0 { String::new() } else { format!(":{}", fault.line) };
        lines.push(format!("{}{line}: {}", fault.path, fault.what));
    }
    for exception in exceptions.iter().filter(|exception| !faults.iter().any(|fault| fault.is(exception))) {
        let (path, what, reason) = exception;
        lines.push(format!("{path}: the exception for \"{what}\" ({reason}) is not needed any more: remove it"));
    }
    assert!(lines.is_empty(), "{rule}\n  {}\n", lines.join("\n  "));
}

#[test]
#[should_panic(expected = "not needed any more")]
fn an_exception_without_a_fault_is_a_fault() {
    hold("a rule", &[], &[("src/x.rs", "println!", "it was needed once")]);
}
