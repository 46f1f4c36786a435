//! [`interruptible`]: does a command's work on a thread of its own while the calling thread prints and
//! waits for Ctrl-C, which ends the command at once, but for two things that are waited for: the answer to
//! a submission on its way (until a second Ctrl-C) and a picture's file that is being written. `run`,
//! `submit`, `wait`, `status` and `doctor` work under it; the work prints and journals through the
//! [`WorkContext`]. (Batches have a loop of their own, `batch/interruptible.rs`.)
//!
//! All output happens on the calling thread, so that leaving at once leaves no line half printed.
//! Leaving ends the process, and with it the work: a poll or a download under way can be made again.
//! Of exchanges only a submission is waited for, since its answer names the task that is being paid for.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use effects_core::journal::Journal;
use effects_core::{Effect, Error, Event, Policy};
use effects_jobs::OpenRow;
use effects_ureq::{Client, Watch};

use crate::failure::Failure;
use crate::gateway_location::GatewayLocation;
use crate::output::Output;
use crate::progress::ProgressDisplay;
use crate::signals;
use crate::submission_tracker::{SubmissionState, SubmissionTracker, TrackedJournal, WorkMessage};

/// How the work, on a thread of its own, prints and journals through the calling thread.
#[derive(Clone)]
pub(crate) struct WorkContext {
    tracker: Arc<SubmissionTracker>,
    sender: Sender<WorkMessage>,
    exit_guard: Arc<Mutex<ExitGuard>>,
}

impl WorkContext {
    /// The same client, whose submissions the tracker knows, and the journal's row too, if there is one.
    pub(crate) fn client(&self, client: &Client, row: Option<&OpenRow>) -> Client {
        client.with_journal(self.journal(row))
    }

    /// The journal of a run, by which the tracker knows its submissions, and `row` too, if there is one.
    pub(crate) fn journal(&self, row: Option<&OpenRow>) -> Arc<dyn Journal> {
        let tracker = Arc::clone(&self.tracker);
        match row {
            Some(row) => {
                tracker.set_row(row);
                Arc::new(TrackedJournal { tracker, record: row.journal() })
            }
            None => tracker,
        }
    }

    /// Follows a run to its end and shows its events.
    pub(crate) fn follow(&self, mut watch: Watch) -> Result<Effect, Error> {
        for event in watch.by_ref() {
            self.show(event);
        }
        watch.finish()
    }

    /// Shows an event.
    pub(crate) fn show(&self, event: Event) {
        self.send(WorkMessage::Event(event));
    }

    /// Prints something on stderr.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.send(WorkMessage::Note(text.into()));
    }

    /// Hold this while writing a file: the process does not exit until it is dropped. Once the process
    /// began to exit, this call blocks for ever.
    pub(crate) fn hold_exit(&self) -> MutexGuard<'_, ExitGuard> {
        let exit_guard = self.exit_guard.lock().unwrap_or_else(PoisonError::into_inner);
        if *exit_guard == ExitGuard::Closed {
            drop(exit_guard);
            // In a loop, since `park` may return without a reason. The process ends while this thread waits.
            loop {
                thread::park();
            }
        }
        exit_guard
    }

    fn send(&self, message: WorkMessage) {
        // The receiver is gone only once the process is about to end.
        let _ = self.sender.send(message);
    }
}

/// Whether files may be begun; while its lock is held, the process does not exit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ExitGuard {
    #[default]
    Open,
    /// The process is about to end.
    Closed,
}

/// Does `work` and returns its result, or the failure that says what an interruption left.
pub(crate) fn interruptible<T: Send + 'static>(
    output: &Output,
    location: &GatewayLocation,
    first_state: SubmissionState,
    work: impl FnOnce(&WorkContext) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, messages) = mpsc::channel();
    // The service shows a task by the answer to its submission; one that the caller named, by a look.
    let mut is_shown = !matches!(first_state, SubmissionState::Made(_));
    let tracker = Arc::new(SubmissionTracker::new(first_state, sender.clone()));
    let context = WorkContext {
        tracker: Arc::clone(&tracker),
        sender: sender.clone(),
        exit_guard: Arc::default(),
    };
    // Before the work begins: a Ctrl-C in its first moment is answered, too.
    let signal = sender.clone();
    signals::listen(move || drop(signal.send(WorkMessage::Signal))).map_err(Failure::system)?;

    let exit_guard = Arc::clone(&context.exit_guard);
    let worker = thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            let _done = DoneOnDrop(sender);
            work(&context)
        })
        .map_err(Failure::system)?;

    let progress = ProgressDisplay::new(output);
    let mut waiting = false;
    let left = loop {
        match messages.recv() {
            Ok(WorkMessage::Event(event)) => {
                match &event {
                    Event::Running { .. } => is_shown = true,
                    // A 404 takes back that the service shows the task:
                    // a line then says that its bill is not known.
                    Event::Retrying { task_id: Some(_), error, .. } => {
                        is_shown &= error.status() != Some(404);
                    }
                    _ => {}
                }
                progress.show(&event);
            }
            Ok(WorkMessage::Note(text)) => progress.note(&text),
            // `DoneOnDrop` sends it even when the work panics.
            Ok(WorkMessage::Done) | Err(_) => break None,
            // This may be the answer to an earlier attempt, still
            // in the queue while the next one is in flight.
            Ok(WorkMessage::Answered) if waiting => match tracker.interrupt() {
                SubmissionState::InFlight(_) => {}
                submission => break Some(submission),
            },
            // Without an interruption the work goes on and returns its result.
            Ok(WorkMessage::Answered) => {}
            Ok(WorkMessage::Signal) => match tracker.interrupt() {
                // Only an answer names the task that is being paid for, so this one is waited
                // for; a second Ctrl-C leaves.
                SubmissionState::InFlight(_) if !waiting => {
                    waiting = true;
                    progress.note_always(&waiting_for_an_answer(location.is_replay()));
                }
                submission => break Some(submission),
            },
        }
    };
    progress.clear();
    // After an interruption the worker is not joined: its exchange may take up to the time limit of a
    // request, and ends with the process.
    match left {
        Some(submission) => {
            // Waits for the file that is being written, and lets none begin.
            *exit_guard.lock().unwrap_or_else(PoisonError::into_inner) = ExitGuard::Closed;
            Err(Failure::interrupted(submission, tracker.row(), is_shown, location))
        }
        // A panic of the work goes on here, and `lib.rs` makes exit code 1 of it.
        None => worker.join().unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

/// Sends [`WorkMessage::Done`] when it is dropped, also by a panic.
struct DoneOnDrop(Sender<WorkMessage>);

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        // The receiver is gone only once the command was interrupted.
        let _ = self.0.send(WorkMessage::Done);
    }
}

fn waiting_for_an_answer(is_replay: bool) -> String {
    let why = if is_replay { "" } else { ", so that a paid task is not lost" };
    format!(
        "interrupted while the submission is on its way: waiting for its answer (at most {} s){why}; \
         interrupt again to leave at once",
        Policy::default().request_timeout.as_secs()
    )
}
