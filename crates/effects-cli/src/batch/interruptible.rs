//! [`interruptible`]: the main thread's loop of a batch under way: it prints, counts, and waits for
//! Ctrl-C, until the batch is over or left. `Batch::carry_out` (`effects batch` and `effects watch`),
//! `resume` and `reorder` call it with their [`Started`] session, and are told of each row as
//! [`RowNews`].

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use effects_client::OutageNews;
use effects_core::ErrorKind;
use effects_core::journal::{OverBudget, RowNumber};

use super::manifest::Manifest;
use super::progress_line::ProgressLine;
use super::report::RowReport;
use super::reporter::{MOST_SAID, NEXT_SAID};
use super::session::{BatchWake, Started};
use super::summary::BatchSummary;
use crate::failure::Failure;

/// What the main thread's loop tells its caller.
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
    pub(crate) tally: BatchSummary,
    /// A signal interrupted it.
    pub(crate) interrupted: bool,
    /// Submissions were on their way when it was left.
    pub(crate) left_submitting: bool,
    /// An error that ended it and is not of one row: a journal or an output that cannot be written.
    pub(crate) trouble: Option<String>,
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
            Self::Growing(manifest) => manifest.arrivals(),
        }
    }

    fn grows(self) -> bool {
        matches!(self, Self::Growing(_))
    }
}

/// Runs the loop until the batch is over or left; calls `hear` with what becomes of each row.
pub(crate) fn interruptible(
    Started { session, handle, .. }: &Started,
    most_wait: Duration,
    woken: &Receiver<BatchWake>,
    live: &ProgressLine,
    rows: RowCount<'_>,
    mut tally: BatchSummary,
    mut hear: impl FnMut(RowNews<'_>) -> Result<(), Failure>,
) -> InterruptibleEnd {
    let (mut leaving, mut left_submitting, mut trouble) = (None::<Instant>, false, None);
    let mut odd = 0_u64;
    let (mut outages, mut is_halt_told) = (OutageNews::default(), false);
    let mut is_used_up = false;
    loop {
        tally.throttled = session.throttled();
        live.show(&tally, handle.running() as usize, rows.now());
        if let Some(outage) = outages.of(handle.outage().as_ref()) {
            live.urge(&format!("warning: {outage}"));
            if outage.is_final {
                trouble.get_or_insert_with(|| outage.to_string());
            }
        }
        // It wakes up without a message too: the live line, outages and the end of the wait after Ctrl-C
        // go by the time alone.
        let received = woken.recv_timeout(TICK);
        let halted_by = handle.halted_by().filter(|error| {
            // Other reasons are told of each row.
            matches!(error.kind(), ErrorKind::Journal | ErrorKind::Download)
        });
        if let Some(error) = halted_by
            && !std::mem::replace(&mut is_halt_told, true)
        {
            fail(&mut tally, &mut trouble, live, error.exit_code(), error.to_string());
        }
        let wake = match received {
            // Only where no message waits: rows that ended before that moment are still counted and
            // written.
            Err(RecvTimeoutError::Timeout) if leaving.is_some_and(|end| Instant::now() > end) => {
                left_submitting = handle.is_submitting();
                break;
            }
            Err(RecvTimeoutError::Timeout) => BatchWake::Tick,
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(wake) => wake,
        };
        let news = match &wake {
            BatchWake::Report(report) => RowNews::Ended(report),
            BatchWake::Submitted(row) => RowNews::Submitted(*row),
            BatchWake::BegunAnew(index) => RowNews::BegunAnew(*index),
            _ => RowNews::None,
        };
        // Before the row's next end is added to the sums: a row counts once.
        if let RowNews::BegunAnew(index) = news {
            tally.take_back(index);
        }
        if let RowNews::Ended(report) = &news {
            tally.add(report);
            session.was_told(report.told.index);
            let over = report.error.as_ref().filter(|error| error.kind == OVER_BUDGET);
            if let Some(error) = over
                // A manifest's further rows are refused one by one, each by name. Photos would come and
                // be refused for ever.
                && rows.grows()
                && !std::mem::replace(&mut is_used_up, true)
            {
                // Not `stop`: what is paid for is still followed and fetched.
                handle.halt();
                live.urge(&format!(
                    "the budget does not reach further: no more photos are ordered, and what is paid for is \
                     still saved; {}",
                    way_out_of_budget(error.over_budget.as_ref())
                ));
            }
        }
        // The folder or stdout takes no more. Nothing more is begun, but the loop goes on: tasks that are
        // paid for are followed to their ends, and the journal records them.
        if let Err(failure) = hear(news)
            && trouble.is_none()
        {
            handle.halt();
            fail(&mut tally, &mut trouble, live, failure.exit_code(), failure.to_string());
        }
        match wake {
            BatchWake::Report(_)
            | BatchWake::Submitted(_)
            | BatchWake::BegunAnew(_)
            | BatchWake::Tick => {}
            BatchWake::FailedOnce { line, why, cost } => {
                tally.spend(cost.unwrap_or_default());
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                live.note(&format!("{line}{why}; paid for anew, as --retry-failed allows"));
            }
            BatchWake::Odd(text) => {
                odd += 1;
                match odd {
                    ..=MOST_SAID => live.note(&text),
                    NEXT_SAID => {
                        live.note("more rows have warnings or downloads that are repeated: see the folder's manifest");
                    }
                    _ => {}
                }
            }
            BatchWake::Note(text) => live.urge(&text),
            BatchWake::Fatal(code, why) => fail(&mut tally, &mut trouble, live, code, why),
            BatchWake::Signal if leaving.is_some() => {
                left_submitting = handle.is_submitting();
                break;
            }
            BatchWake::Signal => {
                handle.stop();
                live.urge(&format!(
                    "interrupted: nothing more is submitted; waiting for the answers that are on their \
                     way (at most {} s), so that no paid task is lost; interrupt again to leave at once",
                    most_wait.as_secs()
                ));
                // At the end of that time the job machine itself records an answer as lost; the two
                // seconds are for its doing so.
                leaving = Some(Instant::now() + most_wait + Duration::from_secs(2));
            }
            BatchWake::Over => break,
        }
    }
    live.clear();
    let interrupted = leaving.is_some();
    // A signal is how a watch ends. It is an interruption only where a photo that came has no end yet.
    if interrupted && (!rows.grows() || tally.told() < rows.now()) {
        tally.note(ErrorKind::Detached.exit_code());
    }
    InterruptibleEnd { tally, interrupted, left_submitting, trouble }
}

/// An error ends the batch that is not of one row: only the first one is printed.
fn fail(
    tally: &mut BatchSummary,
    trouble: &mut Option<String>,
    live: &ProgressLine,
    code: u8,
    why: String,
) {
    tally.note(code);
    if trouble.is_none() {
        live.urge(&format!("error: {why}"));
    }
    trouble.get_or_insert(why);
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
