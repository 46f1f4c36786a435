//! What a person sees while a batch runs: one live line on a terminal, single lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Status;
use super::tally::Tally;
use crate::output::{Output, say};

/// The live line of a batch, on stderr.
pub(crate) struct Live {
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Live {
    pub(crate) fn new(output: &Output) -> Self {
        let bar = output.is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            // No colours: there is nothing for NO_COLOR to switch off.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { quiet: output.quiet, bar }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, tally: &Tally, running: usize, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(words(tally, running, rows));
        }
    }

    /// Says what is being done before there are numbers.
    pub(crate) fn doing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// Says something above the live line.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.urge(text);
        }
    }

    /// Says something that a person must know, quiet or not.
    pub(crate) fn urge(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Does something to stdout, which may be the same terminal.
    pub(crate) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    /// Takes the live line away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn words(tally: &Tally, running: usize, rows: u64) -> String {
    let mut words = format!(
        "{} of {rows} done, {running} running, {} failed, {} doubtful, {} USD spent",
        tally.count(Status::Completed),
        tally.count(Status::Failed) + tally.count(Status::Refused) + tally.count(Status::Invalid),
        tally.count(Status::Doubtful),
        tally.spent
    );
    if let Some(left) = tally.remaining(rows) {
        words.push_str(&format!(", {} to go", span(left)));
    }
    words
}

/// A time as people say it.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6_000 => format!("{} min", seconds.div_ceil(60)),
        seconds @ 6_000..200_000 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use effects_core::{Error, ErrorKind};

    use super::super::report::Report;
    use super::super::rows::Told;
    use super::*;

    #[test]
    fn the_line_says_what_there_is_to_say() {
        let mut tally = Tally::new();
        assert_eq!(
            words(&tally, 3, 9),
            "0 of 9 done, 3 running, 0 failed, 0 doubtful, 0 USD spent"
        );
        for kind in
            [ErrorKind::BudgetExceeded, ErrorKind::OutcomeUnknown, ErrorKind::InvalidRequest]
        {
            tally.add(&Report::of_error(Told::default(), &Error::new(kind, "x")));
        }
        let words = words(&tally, 0, 9);
        assert!(words.contains("1 doubtful, 0 USD spent, 0 s to go"), "{words}");
    }

    #[test]
    fn times_are_short() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [said(9), said(600), said(7_300), said(400_000)],
            ["9 s", "10 min", "2 h 1 min", "4 days"]
        );
    }
}
