//! [`ProgressDisplay`]: shows the events of one task on stderr, in one live line on a terminal and in
//! single lines elsewhere, and prints notes above the live line. Warnings are left out, since they are
//! printed where they arise, and with `--verbose` all events, since the log has them. `interruptible.rs`
//! makes one for each `run`, `submit`, `wait`, `status` and `doctor`, and passes it the events.

use std::time::Duration;

use effects_core::Event;

use crate::live_line::LiveLine;
use crate::output::Output;

/// Shows how a command gets on, on stderr.
pub(crate) struct ProgressDisplay {
    verbose: bool,
    live: LiveLine,
}

impl ProgressDisplay {
    /// A display that begins now.
    pub(crate) fn new(output: &Output) -> Self {
        let live = LiveLine::new(output, Duration::from_millis(120));
        Self { verbose: output.verbose, live }
    }

    /// Shows an event.
    pub(crate) fn show(&self, event: &Event) {
        match event {
            // The log has it.
            _ if self.verbose => {}
            // A warning is said where it comes up.
            Event::Warning { .. } | Event::SecondTask { .. } => {}
            Event::UnknownStatus { word, .. } if word.looks_final() => {}
            // Where there is no live line, a line for each look would drown what matters.
            Event::Running { .. } => self.live.show(&event.to_string()),
            event => self.live.note(&event.to_string()),
        }
    }

    /// Prints something above the live line.
    pub(crate) fn note(&self, text: &str) {
        self.live.note(text);
    }

    /// Prints something that a person must know, quiet or not.
    pub(crate) fn note_always(&self, text: &str) {
        self.live.note_always(text);
    }

    /// Takes the live line away.
    pub(crate) fn clear(&self) {
        self.live.clear();
    }
}
