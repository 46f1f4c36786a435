//! [`ProgressDisplay`]: shows the events of one task on stderr: one live line on a terminal, single
//! lines elsewhere. `interruptible.rs` makes it and passes each event on to it.

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
