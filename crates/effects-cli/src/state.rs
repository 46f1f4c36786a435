//! [`warn_once`]: prints a warning on stderr that the journal or the file of learnt durations cannot be
//! used, at most one in a process; the command goes on without it. `journal.rs` calls it for the journal in
//! the user's state folder (for `effects wait` also for one that the profile names), `gateway.rs` for the
//! durations.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::write_stderr;

/// Warns of a state folder that cannot be used, unless the command is to be quiet: once, however many things
/// are kept there.
pub(crate) fn warn_once(what: &str, quiet: bool) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    // `Relaxed`, since the flag stands for nothing but itself.
    if !quiet && !WARNED.swap(true, Ordering::Relaxed) {
        write_stderr(&format!("warning: {what}"));
    }
}
