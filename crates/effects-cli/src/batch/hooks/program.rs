//! The program of `--on-done` ([`run`]): one process for a row, the row's JSON on its stdin.

use std::io::Write;
use std::process::{Command, Stdio};

use super::EndedRow;

/// Starts it for a row and waits for its end. What it prints is left out, since stdout is the batch's; what it says on
/// stderr is not.
pub(super) fn run(program: &str, row: &EndedRow) -> Result<(), String> {
    let fail = |why: &dyn std::fmt::Display| format!("--on-done {program:?} {why}");
    let mut words = program.split_whitespace();
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| fail(&format!("cannot be run: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its stdin may have done all the same.
        let _ = stdin.write_all(format!("{}\n", row.json).as_bytes());
    }
    let status = child.wait().map_err(|error| fail(&error))?;
    if status.success() { Ok(()) } else { Err(fail(&format!("ended with {status}"))) }
}
