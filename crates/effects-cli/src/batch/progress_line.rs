//! [`ProgressLine`]: shows on stderr how far a batch is: a live line on a terminal, elsewhere a plain line
//! each minute or as `--progress-every` says. `Batch::run`, `Batch::watch`, `effects resume` and
//! `effects reorder` each make one; `batch/interruptible.rs` keeps it up to date, and warnings and results
//! are printed above it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::report::RowStatus;
use super::summary::BatchSummary;
use crate::live_line::LiveLine;
use crate::output::Output;

/// The live line of a batch, on stderr.
pub(crate) struct ProgressLine {
    line: LiveLine,
    /// How often a line is printed where none is drawn; never where it is `None`.
    interval: Option<Duration>,
    last_noted: Cell<Instant>,
}

impl ProgressLine {
    /// A line that is drawn on a terminal; elsewhere one is printed this often.
    pub(crate) fn new(output: &Output, every: Duration) -> Self {
        let line = LiveLine::new(output, Duration::from_millis(250));
        let interval = Some(every).filter(|every| !every.is_zero() && !output.quiet);
        Self { line, interval, last_noted: Cell::new(Instant::now()) }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, summary: &BatchSummary, running: usize, rows: u64, is_replay: bool) {
        if self.line.is_drawn() {
            self.line.show(&status_text(summary, running, rows, is_replay));
        } else if summary.reported() < rows
            && self.interval.is_some_and(|every| self.last_noted.get().elapsed() >= every)
        {
            // A watched folder may have nothing new for days: while no row is open, nothing is printed.
            self.last_noted.set(Instant::now());
            self.line.note(&status_text(summary, running, rows, is_replay));
        }
    }

    /// Says what is being done before there are numbers.
    pub(crate) fn show_step(&self, what: &str) {
        self.line.show(what);
    }

    /// Prints something above the live line.
    pub(crate) fn note(&self, text: &str) {
        self.line.note(text);
    }

    /// Prints something that a person must know, quiet or not.
    pub(crate) fn note_always(&self, text: &str) {
        self.line.note_always(text);
    }

    /// Does something to stdout, which may be the same terminal.
    pub(crate) fn suspended<T>(&self, act: impl FnOnce() -> T) -> T {
        self.line.suspended(act)
    }

    /// Takes the live line away.
    pub(crate) fn clear(&self) {
        self.line.clear();
    }
}

fn status_text(summary: &BatchSummary, running: usize, rows: u64, is_replay: bool) -> String {
    let throttled = match summary.throttled {
        0 => String::new(),
        1 => "throttled once, ".to_owned(),
        times => format!("throttled {times} times, "),
    };
    let mut words = format!(
        "{} of {rows} done, {running} running, {} failed, {} doubtful, {throttled}{}",
        summary.count(RowStatus::Completed),
        summary.count(RowStatus::Failed)
            + summary.count(RowStatus::Refused)
            + summary.count(RowStatus::Invalid),
        summary.count(RowStatus::Doubtful),
        match is_replay {
            true => format!("its recording says {} USD", summary.spent),
            false => format!("{} USD spent", summary.spent),
        }
    );
    if let Some(left) = summary.remaining(rows) {
        words.push_str(&format!(", {} to go", span(left)));
    }
    words
}

/// How often a line is printed where none is drawn, unless an option sets it.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(60);

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

    use super::super::report::RowReport;
    use super::super::rows::RowLabel;
    use super::*;

    #[test]
    fn the_line_says_what_there_is_to_say() {
        let mut summary = BatchSummary::new();
        assert_eq!(
            status_text(&summary, 3, 9, false),
            "0 of 9 done, 3 running, 0 failed, 0 doubtful, 0 USD spent"
        );
        assert_eq!(
            status_text(&summary, 3, 9, true),
            "0 of 9 done, 3 running, 0 failed, 0 doubtful, its recording says 0 USD"
        );
        for kind in
            [ErrorKind::BudgetExceeded, ErrorKind::OutcomeUnknown, ErrorKind::InvalidRequest]
        {
            summary.add(&RowReport::of_error(RowLabel::default(), &Error::new(kind, "x")));
        }
        // These rows took no time, so that the others are expected to take none.
        let words = status_text(&summary, 0, 9, false);
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
