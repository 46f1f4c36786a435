//! [`interruptible`]: the main thread's loop while the jobs of a batch run on other threads. It receives
//! their messages, prints progress and warnings, and adds up the [`BatchSummary`]; at Ctrl-C it stops
//! submissions and waits for the answers on their way, and at a second one it leaves at once.
//! `Batch::process_rows` (for `effects batch` and `effects watch`), `effects resume` and `effects reorder`
//! call it with their [`StartedSession`], and get the end of each row as [`RowNews`].

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use effects_client::OutageFilter;
use effects_core::ErrorKind;
use effects_core::journal::{OverBudget, RowNumber};

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
    /// The row of this number has a new task.
    Submitted(RowNumber),
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
    /// As many as came so far to a folder that is watched. Such a batch has no end but a signal, so that
    /// one is no interruption unless it leaves rows unfinished; and it ends where its budget does.
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
    StartedSession { session, handle, .. }: &StartedSession,
    max_wait: Duration,
    messages: &Receiver<SessionMessage>,
    progress: &ProgressLine,
    rows: RowCount<'_>,
    mut summary: BatchSummary,
    mut on_news: impl FnMut(RowNews<'_>) -> Result<(), Failure>,
) -> InterruptibleEnd {
    let (mut leaving, mut left_submitting, mut batch_error) = (None::<Instant>, false, None);
    let mut row_notes = 0_u64;
    let (mut outages, mut is_halt_noted) = (OutageFilter::default(), false);
    let (mut is_used_up, is_replay) = (false, session.is_replay());
    loop {
        summary.throttled = session.throttled();
        progress.show(&summary, handle.running() as usize, rows.now(), is_replay);
        if let Some(outage) = outages.of(handle.outage().as_ref()) {
            progress.note_always(&format!("warning: {outage}"));
            if outage.is_final {
                batch_error.get_or_insert_with(|| outage.to_string());
            }
        }
        // It wakes up without a message too: the live line, outages and the end of the wait after Ctrl-C
        // go by the time alone.
        let received = messages.recv_timeout(TICK);
        let halted_by = handle.halted_by().filter(|error| {
            // Other reasons are in the report of each row.
            matches!(error.kind(), ErrorKind::Journal | ErrorKind::Download)
        });
        if let Some(error) = halted_by
            && !std::mem::replace(&mut is_halt_noted, true)
        {
            fail(&mut summary, &mut batch_error, progress, error.exit_code(), error.to_string());
        }
        let message = match received {
            // Only where no message waits: rows that ended before that moment are still counted and
            // written.
            Err(RecvTimeoutError::Timeout) if leaving.is_some_and(|end| Instant::now() > end) => {
                left_submitting = handle.is_submitting();
                break;
            }
            Err(RecvTimeoutError::Timeout) => SessionMessage::Tick,
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(message) => message,
        };
        let news = match &message {
            SessionMessage::Report(report) => RowNews::Ended(report),
            SessionMessage::Submitted(row) => RowNews::Submitted(*row),
            SessionMessage::BegunAnew(index) => RowNews::BegunAnew(*index),
            _ => RowNews::None,
        };
        // Before the row's next end is added to the sums: a row counts once.
        if let RowNews::BegunAnew(index) = news {
            summary.subtract(index);
        }
        if let RowNews::Ended(report) = &news {
            summary.add(report);
            session.mark_reported(report.label.index);
            let over = report.error.as_ref().filter(|error| error.kind == OVER_BUDGET);
            if let Some(error) = over
                // A manifest's further rows are refused one by one, each by name. Photos would come and
                // be refused for ever.
                && rows.grows()
                && !std::mem::replace(&mut is_used_up, true)
            {
                // Not `stop`: what is paid for is still followed and fetched.
                handle.halt();
                let ordered = if is_replay { "has a task" } else { "is paid for" };
                progress.note_always(&format!(
                    "the budget does not reach further: no more photos are ordered, and what {ordered} is \
                     still saved; {}",
                    way_out_of_budget(error.over_budget.as_ref())
                ));
            }
        }
        // The folder or stdout takes no more. Nothing more is begun, but the loop goes on: tasks that are
        // paid for are followed to their ends, and the journal records them.
        if let Err(failure) = on_news(news)
            && batch_error.is_none()
        {
            handle.halt();
            fail(
                &mut summary,
                &mut batch_error,
                progress,
                failure.exit_code(),
                failure.to_string(),
            );
        }
        match message {
            SessionMessage::Report(_)
            | SessionMessage::Submitted(_)
            | SessionMessage::BegunAnew(_)
            | SessionMessage::Tick => {}
            SessionMessage::FailedAndRenewed { line, why, cost } => {
                summary.spend(cost.unwrap_or_default());
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let anew = if is_replay { "replayed" } else { "paid for" };
                progress.note(&format!("{line}{why}; {anew} anew, as --retry-failed allows"));
            }
            SessionMessage::Note(text) => {
                row_notes += 1;
                match row_notes {
                    ..=MAX_NOTES => progress.note(&text),
                    FIRST_OMITTED => {
                        progress.note(
                            "more rows have warnings or downloads that are repeated: see the \
                            folder's manifest",
                        );
                    }
                    _ => {}
                }
            }
            SessionMessage::NoteAlways(text) => progress.note_always(&text),
            SessionMessage::Fatal(code, why) => {
                fail(&mut summary, &mut batch_error, progress, code, why);
            }
            SessionMessage::Signal if leaving.is_some() => {
                left_submitting = handle.is_submitting();
                break;
            }
            SessionMessage::Signal => {
                handle.stop();
                let why = if is_replay { "" } else { ", so that no paid task is lost" };
                progress.note_always(&format!(
                    "interrupted: nothing more is submitted; waiting for the answers that are on their \
                     way (at most {} s){why}; interrupt again to leave at once",
                    max_wait.as_secs()
                ));
                // At the end of that time the job machine itself records an answer as lost; the two
                // seconds are for its doing so.
                leaving = Some(Instant::now() + max_wait + Duration::from_secs(2));
            }
            SessionMessage::Over => break,
        }
    }
    progress.clear();
    let interrupted = leaving.is_some();
    // A signal is how a watch ends. It is an interruption only where a photo that came has no end yet.
    if interrupted && (!rows.grows() || summary.reported() < rows.now()) {
        summary.note(ErrorKind::Detached.exit_code());
    }
    InterruptibleEnd { summary, interrupted, left_submitting, batch_error }
}

/// An error ends the batch that is not of one row: only the first one is printed.
fn fail(
    summary: &mut BatchSummary,
    batch_error: &mut Option<String>,
    progress: &ProgressLine,
    code: u8,
    why: String,
) {
    summary.note(code);
    if batch_error.is_none() {
        progress.note_always(&format!("error: {why}"));
    }
    batch_error.get_or_insert(why);
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
