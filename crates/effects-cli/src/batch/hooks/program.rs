//! Runs the program of `--on-done`. [`find`] refuses a batch whose program does not exist, before anything
//! is sent; [`run`] starts the program, one process for each row that ended, with the row's JSON on stdin,
//! and waits for its end. Of the environment's secrets the program gets those that `--pass-env` names, and
//! no others. `BatchHooks` calls both.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use effects_core::{Error, ErrorKind};

use super::EndedRow;
use crate::secret_variables::without_secrets;

/// Whether there is such a program.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] when there is none.
pub(super) fn find(program: &str) -> Result<(), Error> {
    let name = program.split_whitespace().next().unwrap_or_default();
    let is_there = if name.contains(std::path::is_separator) {
        is_program(Path::new(name))
    } else {
        let folders = env::var_os("PATH").unwrap_or_default();
        !name.is_empty() && env::split_paths(&folders).any(|folder| is_program(&folder.join(name)))
    };
    if is_there {
        return Ok(());
    }
    let why = format!(
        "--on-done {program:?}: there is no program {name:?} that can be run; give its path, or one that \
         PATH finds; nothing was sent"
    );
    Err(Error::new(ErrorKind::Misconfigured, why))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

/// Starts it for a row and waits for its end. What it prints is left out, since stdout is the batch's; what
/// it says on stderr is not. Of the variables that hold secrets it has those of these names.
pub(super) fn run(program: &str, passed: &[String], row: &EndedRow) -> Result<(), String> {
    let fail = |why: &dyn std::fmt::Display| format!("--on-done {program:?} {why}");
    // No shell reads it, so that nothing of a row or a path is run by one.
    let mut words = program.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    without_secrets(&mut command, passed);
    // The Ctrl-C of a terminal goes to its whole process group, and would kill a program that is to go on by itself.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| fail(&format!("cannot be run: {error}")))?;
    // The pipe is closed at the end of this block: a program that reads to the end would wait for ever.
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its stdin may have done all the same.
        let _ = stdin.write_all(format!("{}\n", row.json).as_bytes());
    }
    let status = child.wait().map_err(|error| fail(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(fail(&format!("ended with {status}; the row and what it cost stay as they were told")))
}
