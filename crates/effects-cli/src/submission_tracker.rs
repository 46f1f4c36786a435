//! [`SubmissionTracker`]: tracks the submission of one command ([`SubmissionState`]: nothing sent, in
//! flight, a task made) and, once interrupted, refuses any further one, so that Ctrl-C loses no paid task.
//! `interruptible.rs` makes one for each `run`, `submit`, `wait`, `status` and `doctor`; it is the run's
//! journal, or stands in front of that ([`TrackedJournal`]). At Ctrl-C its state decides whether an answer
//! is awaited.
//!
//! A submission leaves only after its intent was written here, as to a journal. So an interruption finds
//! that nothing left and nothing will, or an intent in flight, or the task's id; and no submission
//! can begin between the interruption and the exit.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use effects_core::journal::{Admission, Entry, Fact, Journal, JournalError, RowNumber, RowOutcome};
use effects_core::{Event, TaskId};
use effects_jobs::OpenRow;

/// A message to the thread that prints.
pub(crate) enum WorkMessage {
    /// Something to show.
    Event(Event),
    /// A line for stderr.
    Note(String),
    /// The submission in flight was answered.
    Answered,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    /// The work is over.
    Done,
}

/// The journal of one command, in memory.
pub(crate) struct SubmissionTracker {
    state: Mutex<TrackerState>,
    /// The row of the submission, where a journal has one.
    row: OnceLock<OpenRow>,
    sender: Sender<WorkMessage>,
}

struct TrackerState {
    submission: SubmissionState,
    interrupted: bool,
}

/// How far the submission is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SubmissionState {
    /// Nothing is on its way, and no task was made; why not, if one was tried.
    Nothing(Option<String>),
    /// A submission is on its way.
    InFlight(Intent),
    /// There is a task.
    Made(TaskId),
}

/// What a submission in flight can be found by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Intent {
    pub(crate) request_id: String,
    pub(crate) idempotency_key: String,
}

impl SubmissionTracker {
    /// The tracker of a command that begins so; `sender` sends a [`WorkMessage::Answered`] for each answer.
    pub(crate) fn new(submission: SubmissionState, sender: Sender<WorkMessage>) -> Self {
        let state = Mutex::new(TrackerState { submission, interrupted: false });
        Self { state, row: OnceLock::new(), sender }
    }

    /// Remembers the row that the command's submission is on record in.
    pub(crate) fn set_row(&self, row: &OpenRow) {
        // A command has one submission, and so one row.
        let _ = self.row.set(row.clone());
    }

    /// The number of that row, which it has once an intent is on record.
    pub(crate) fn row(&self) -> Option<RowNumber> {
        self.row.get().and_then(OpenRow::number)
    }

    /// Returns the state of the submission. From here on nothing is submitted any more.
    pub(crate) fn interrupt(&self) -> SubmissionState {
        // One lock for both: an intent is either written before and seen here, or refused afterwards.
        let mut state = self.lock();
        state.interrupted = true;
        state.submission.clone()
    }

    /// An intent could not be put on record, so nothing was sent.
    fn nothing_left(&self, why: &str) {
        self.lock().submission = SubmissionState::Nothing(Some(why.to_owned()));
        // The receiver is gone only once the command has its result.
        let _ = self.sender.send(WorkMessage::Answered);
    }

    fn lock(&self) -> MutexGuard<'_, TrackerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal of one command that is on record elsewhere too.
///
/// An intent is in flight here before it is on record, so that an interruption either refuses it or waits for
/// it. An answer is on record before the command may exit because of it.
pub(crate) struct TrackedJournal {
    pub(crate) tracker: Arc<SubmissionTracker>,
    pub(crate) record: Arc<dyn Journal>,
}

impl Journal for TrackedJournal {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let intent = matches!(entry.fact, Fact::Intent { .. });
        // Here first: after an interruption the intent is refused, and the record never has it.
        if intent {
            self.tracker.write(entry)?;
        }
        let written = self.record.write(entry);
        match (intent, written) {
            (true, Ok(admission)) => {
                if admission != Admission::Admitted {
                    self.tracker.nothing_left("it does not fit into the budget");
                }
                Ok(admission)
            }
            (true, Err(error)) => {
                self.tracker.nothing_left(&error.to_string());
                Err(error)
            }
            (false, written) => {
                // The record first: a Ctrl-C that waits for this answer leaves only once it is durable.
                // The command knows its task even where the record cannot be written.
                self.tracker.write(entry)?;
                written
            }
        }
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.record.ended(end)
    }
}

impl Journal for SubmissionTracker {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let mut state = self.lock();
        state.submission = match &entry.fact {
            // The run gives up without a POST when its intent cannot be written.
            Fact::Intent { .. } if state.interrupted => {
                return Err(JournalError::Unwritable("interrupted".to_owned()));
            }
            Fact::Intent { request_id, idempotency_key, .. } => SubmissionState::InFlight(Intent {
                request_id: request_id.clone(),
                idempotency_key: idempotency_key.clone(),
            }),
            // A second task does not make the first one less the command's own.
            Fact::Created { .. } if matches!(state.submission, SubmissionState::Made(_)) => {
                return Ok(Admission::Admitted);
            }
            Fact::Created { task_id, .. } => SubmissionState::Made(task_id.clone()),
            Fact::Released { reason } => SubmissionState::Nothing(Some(reason.clone())),
        };
        if !matches!(state.submission, SubmissionState::InFlight(_)) {
            // The receiver is gone only once the command has its result.
            let _ = self.sender.send(WorkMessage::Answered);
        }
        Ok(Admission::Admitted)
    }
}
