//! [`interruptible`]: the main thread's loop while the jobs of a batch run on other threads. It receives
//! their messages, prints progress and warnings, and adds up the [`BatchSummary`]; at Ctrl-C it stops
//! submissions and waits for the answers on their way, and at a second one it leaves at once.
//! `Batch::process_rows` (for `effects batch` and `effects watch`), `effects resume` and `effects reorder`
//! call it with their [`StartedSession`], and get as [`RowNews`] the end of each row, its new task, that it
//! is begun anew (for `watch`), and a wake-up several times a second.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use effects_client::OutageFilter;
use effects_core::ErrorKind;
use effects_core::journal::OverBudget;

use super::manifest::Manifest;
use super::progress_line::ProgressLine;
use super::report::RowReport;
use super::reporter::{FIRST_OMITTED, MAX_NOTES};
use super::session::{SessionMessage, StartedSession};
use super::summary::BatchSummary;
use crate::failure::Failure;

/// What the main thread's loop passes to its caller.
pub(crate) enum RowNews<'a> {
    /// A row ended, and this became of it.
    Ended(&'a RowReport),
    /// A row has a new task, which goes on.
    Submitted(&'a RowReport),
    /// The row at this place, for which nothing was sent, is begun anew.
    BegunAnew(usize),
    /// Nothing of a row; sent several times a second, so that the caller can print what else it has.
    None,
}

/// What [`interruptible`] returns.
pub(crate) struct InterruptibleEnd {
    pub(crate) summary: BatchSummary,
    /// A signal interrupted it.
    pub(crate) interrupted: bool,
    /// Submissions were on their way when it was left.
    pub(crate) left_submitting: bool,
    /// An error that ended it and is not of one row: a journal or an output that cannot be written.
    pub(crate) batch_error: Option<String>,
}

/// How many rows a batch has.
#[derive(Clone, Copy)]
pub(crate) enum RowCount<'a> {
    Known(u64),
    /// As many as came so far to a folder that is watched. Such a batch ends by a signal, which is no
    /// interruption unless it leaves rows unfinished, or where its budget does.
    Growing(&'a Manifest),
}

impl RowCount<'_> {
    pub(crate) fn now(self) -> u64 {
        match self {
            Self::Known(rows) => rows,
            Self::Growing(manifest) => manifest.photo_count(),
        }
    }

    fn grows(self) -> bool {
        matches!(self, Self::Growing(_))
    }
}

/// Runs the loop until the batch is over or left; calls `on_news` with what becomes of each row.
pub(crate) fn interruptible(
    started: &StartedSession,
    max_wait: Duration,
    messages: &Receiver<SessionMessage>,
    progress: &ProgressLine,
    rows: RowCount<'_>,
    summary: BatchSummary,
    mut on_news: impl FnMut(RowNews<'_>) -> Result<(), Failure>,
) -> InterruptibleEnd {
    let mut state = LoopState {
        started,
        max_wait,
        progress,
        rows,
        summary,
        outages: OutageFilter::default(),
        is_halt_noted: false,
        is_used_up: false,
        row_notes: 0,
        leaving: None,
        left_submitting: false,
        batch_error: None,
    };
    loop {
        state.show();
        // It wakes up without a message too: the live line, outages and the end of the wait after Ctrl-C
        // go by the time alone.
        let received = messages.recv_timeout(TICK);
        state.note_halt();
        let message = match received {
            // Only where no message waits: rows that ended before that moment are still counted and
            // written.
            Err(RecvTimeoutError::Timeout) if state.is_wait_over() => {
                state.leave();
                break;
            }
            Err(RecvTimeoutError::Timeout) => SessionMessage::Tick,
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(message) => message,
        };
        let news = state.count(&message);
        // The folder or stdout takes no more. Nothing more is begun, but the loop goes on: tasks that are
        // paid for are followed to their ends, and the journal records them.
        if let Err(failure) = on_news(news)
            && state.batch_error.is_none()
        {
            started.handle.halt();
            state.fail(failure.exit_code(), failure.to_string());
        }
        if state.take(message).is_break() {
            break;
        }
    }
    progress.clear();
    state.end()
}

/// What the loop knows.
struct LoopState<'a> {
    started: &'a StartedSession,
    /// How long the answers on their way are waited for after Ctrl-C.
    max_wait: Duration,
    progress: &'a ProgressLine,
    rows: RowCount<'a>,
    summary: BatchSummary,
    outages: OutageFilter,
    is_halt_noted: bool,
    /// The budget of a batch that grows reaches no further.
    is_used_up: bool,
    row_notes: u64,
    /// After Ctrl-C: when the answers on their way are waited for no more.
    leaving: Option<Instant>,
    left_submitting: bool,
    batch_error: Option<String>,
}

impl LoopState<'_> {
    /// Draws the live line, and tells of an outage that began or ended.
    fn show(&mut self) {
        let StartedSession { session, handle, .. } = self.started;
        self.summary.throttled = session.throttled();
        let (running, rows) = (handle.running() as usize, self.rows.now());
        self.progress.show(&self.summary, running, rows, session.is_replay());
        if let Some(outage) = self.outages.of(handle.outage().as_ref()) {
            self.progress.note_always(&format!("warning: {outage}"));
            if outage.is_final {
                self.batch_error.get_or_insert_with(|| outage.to_string());
            }
        }
    }

    /// Tells once that the jobs were halted for a reason which no row's report has.
    fn note_halt(&mut self) {
        let halted_by = self.started.handle.halted_by().filter(|error| {
            // Other reasons are in the report of each row.
            matches!(error.kind(), ErrorKind::Journal | ErrorKind::Download)
        });
        if let Some(error) = halted_by
            && !std::mem::replace(&mut self.is_halt_noted, true)
        {
            self.fail(error.exit_code(), error.to_string());
        }
    }

    /// Adds what a message says of a row to the sums.
    fn count<'m>(&mut self, message: &'m SessionMessage) -> RowNews<'m> {
        match message {
            SessionMessage::Report(report) => {
                self.summary.add(report);
                self.started.session.mark_reported(report.label.index);
                self.halt_where_used_up(report);
                RowNews::Ended(report)
            }
            SessionMessage::Submitted(report) => RowNews::Submitted(report),
            SessionMessage::BegunAnew(index) => {
                // Before the row's next end is added to the sums: a row counts once.
                self.summary.subtract(*index);
                RowNews::BegunAnew(*index)
            }
            _ => RowNews::None,
        }
    }

    /// Orders no more photos of a watched folder once the budget refused one. A manifest's further rows are
    /// refused one by one, each by name; photos would come and be refused for ever.
    fn halt_where_used_up(&mut self, report: &RowReport) {
        let StartedSession { session, handle, .. } = self.started;
        let over = report.error.as_ref().filter(|error| error.kind == OVER_BUDGET);
        let Some(error) = over.filter(|_| self.rows.grows()) else { return };
        if std::mem::replace(&mut self.is_used_up, true) {
            return;
        }
        // Not `stop`: what is paid for is still followed and fetched.
        handle.halt();
        let ordered = if session.is_replay() { "has a task" } else { "is paid for" };
        self.progress.note_always(&format!(
            "the budget does not reach further: no more photos are ordered, and what {ordered} is still saved; {}",
            way_out_of_budget(error.over_budget.as_ref())
        ));
    }

    /// Does what a message asks for besides; whether the loop goes on.
    fn take(&mut self, message: SessionMessage) -> ControlFlow<()> {
        match message {
            SessionMessage::Report(_)
            | SessionMessage::Submitted(_)
            | SessionMessage::BegunAnew(_)
            | SessionMessage::Tick => {}
            SessionMessage::FailedAndRenewed { line, why, cost } => {
                self.summary.spend(cost.unwrap_or_default());
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let anew = if self.started.session.is_replay() { "replayed" } else { "paid for" };
                self.progress.note(&format!("{line}{why}; {anew} anew, as --retry-failed allows"));
            }
            SessionMessage::Note(text) => self.note_of_row(&text),
            SessionMessage::NoteAlways(text) => self.progress.note_always(&text),
            SessionMessage::Fatal(code, why) => self.fail(code, why),
            SessionMessage::Signal if self.leaving.is_some() => {
                self.leave();
                return ControlFlow::Break(());
            }
            SessionMessage::Signal => self.stop(),
            SessionMessage::Over => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn note_of_row(&mut self, text: &str) {
        self.row_notes += 1;
        match self.row_notes {
            ..=MAX_NOTES => self.progress.note(text),
            FIRST_OMITTED => self.progress.note(
                "more rows have warnings or downloads that are repeated: see the folder's manifest",
            ),
            _ => {}
        }
    }

    /// At the first signal: submits no more, and waits for the answers on their way.
    fn stop(&mut self) {
        let StartedSession { session, handle, .. } = self.started;
        handle.stop();
        let why = if session.is_replay() { "" } else { ", so that no paid task is lost" };
        self.progress.note_always(&format!(
            "interrupted: nothing more is submitted; waiting for the answers that are on their way (at most {} \
             s){why}; interrupt again to leave at once",
            self.max_wait.as_secs()
        ));
        // At the end of that time the job machine itself records an answer as lost; the two seconds are for
        // its doing so.
        self.leaving = Some(Instant::now() + self.max_wait + Duration::from_secs(2));
    }

    /// Whether the answers on their way are waited for no more.
    fn is_wait_over(&self) -> bool {
        self.leaving.is_some_and(|end| Instant::now() > end)
    }

    /// Leaves what is still on its way.
    fn leave(&mut self) {
        self.left_submitting = self.started.handle.is_submitting();
    }

    /// An error ends the batch that is not of one row: only the first one is printed.
    fn fail(&mut self, code: u8, why: String) {
        self.summary.note(code);
        if self.batch_error.is_none() {
            self.progress.note_always(&format!("error: {why}"));
        }
        self.batch_error.get_or_insert(why);
    }

    fn end(self) -> InterruptibleEnd {
        let Self { mut summary, leaving, left_submitting, batch_error, rows, .. } = self;
        let interrupted = leaving.is_some();
        // A signal is how a watch ends. It is an interruption only where a photo that came has no end yet.
        if interrupted && (!rows.grows() || summary.reported() < rows.now()) {
            summary.note(ErrorKind::Detached.exit_code());
        }
        InterruptibleEnd { summary, interrupted, left_submitting, batch_error }
    }
}

/// What makes the same line go on that a budget stopped.
fn way_out_of_budget(why: Option<&OverBudget>) -> &'static str {
    match why {
        None => "the same line goes on once tasks under way have told their cost",
        Some(OverBudget::Exceeded { .. }) => "the same line with a higher --budget goes on",
        Some(OverBudget::PriceUnknown { .. } | OverBudget::CostUnreadable { .. }) => {
            "a higher --budget does not help: the same line with --price USD, what one picture costs at \
             most, goes on"
        }
    }
}

const OVER_BUDGET: &str = ErrorKind::BudgetExceeded.name();

/// How often the live line is drawn when nothing happens.
const TICK: Duration = Duration::from_millis(200);
