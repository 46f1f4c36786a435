//! The user's state folder, where it cannot be used.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::say;

/// Warns of a state folder that cannot be used: once, however many things are kept there.
pub(crate) fn warn_once(what: &str) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        say(&format!("warning: {what}"));
    }
}
