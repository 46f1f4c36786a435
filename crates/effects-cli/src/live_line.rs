//! [`LiveLine`]: the line on stderr that redraws itself while a command runs, on a terminal.
//! `ProgressDisplay` and the batch's `ProgressLine` draw it; [`write_above`] prints the warnings of
//! `logging.rs` above it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use effects_core::printable;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{Output, write_stderr};

/// The live line of a command; without a terminal, or where it is to be quiet, it is never drawn.
pub(crate) struct LiveLine {
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl LiveLine {
    /// A line that is drawn this often.
    pub(crate) fn new(output: &Output, every: Duration) -> Self {
        let bar = output.is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            // No colours: there is nothing for NO_COLOR to switch off.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            // It draws from a thread of its own: the time goes on while nothing happens.
            bar.enable_steady_tick(every);
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
            bar
        });
        Self { quiet: output.quiet, bar }
    }

    /// Whether it is drawn.
    pub(crate) fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    /// Shows this in place of what it showed before.
    pub(crate) fn show(&self, text: &str) {
        if let Some(bar) = &self.bar {
            #[expect(clippy::disallowed_methods, reason = "it is escaped here")]
            bar.set_message(printable(text).into_owned());
        }
    }

    /// Prints something above it, unless it is to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.note_always(text);
        }
    }

    /// Prints something above it that a person must know, quiet or not.
    pub(crate) fn note_always(&self, text: &str) {
        self.suspended(|| write_stderr(text));
    }

    /// Does something to stdout or stderr, which may be the same terminal.
    pub(crate) fn suspended<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            // The line is taken off the terminal meanwhile, so that nothing is written into it.
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The live line that is shown, for [`write_above`].
// The layer of `logging.rs` is made before the line, and cannot be handed it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Prints something on stderr, above the live line if one is shown.
pub(crate) fn write_above(text: &str) {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown.filter(|bar| !bar.is_finished()) {
        Some(bar) => bar.suspend(|| write_stderr(text)),
        None => write_stderr(text),
    }
}
