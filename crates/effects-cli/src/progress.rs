//! What a person sees while a task runs: one live line on a terminal, single lines elsewhere.

use std::time::Duration;

use effects_core::Event;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{Output, say};

/// Shows how a command gets on, on stderr.
pub(crate) struct Progress {
    output: Output,
    live: Option<ProgressBar>,
}

impl Progress {
    /// A display that begins now.
    pub(crate) fn new(output: &Output) -> Self {
        let live = output.is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            // No colours: there is nothing for NO_COLOR to switch off.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { output: *output, live }
    }

    /// Shows an event.
    pub(crate) fn tell(&mut self, event: &Event) {
        if self.output.verbose {
            // The log has it.
            return;
        }
        match (event, &self.live) {
            (Event::Running { .. }, Some(bar)) => bar.set_message(event.to_string()),
            // A line for each look would drown what matters.
            (Event::Running { .. }, None) => {}
            (event, _) => self.note(&event.to_string()),
        }
    }

    /// Says something above the live line.
    pub(crate) fn note(&self, text: &str) {
        if !self.output.quiet {
            self.urge(text);
        }
    }

    /// Says something that a person must know, quiet or not.
    pub(crate) fn urge(&self, text: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Takes the live line away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
    }
}
