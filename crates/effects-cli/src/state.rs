//! [`warn_once`]: prints a warning on stderr that something in the user's state folder cannot be used, at
//! most one in a process. `journal.rs` and `gateway.rs` call it and go on without the usual journal or the
//! learnt durations.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::write_stderr;

/// Warns of a state folder that cannot be used: once, however many things are kept there.
pub(crate) fn warn_once(what: &str) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    // `Relaxed`, since the flag stands for nothing but itself.
    if !WARNED.swap(true, Ordering::Relaxed) {
        write_stderr(&format!("warning: {what}"));
    }
}
