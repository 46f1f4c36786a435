//! [`RowLease`]: a row of an SQLite or Postgres journal while a run of this process holds it. `Store`
//! hands it out as a [`RowJournal`], and the run, blocking or async, writes to it as its journal
//! ([`Journal`], [`AsyncJournal`]): each entry goes to the writer thread, and the id of a task that the
//! database does not take goes to the spill file. Dropping it lets go of the row.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, Journal, JournalError, RowNumber, RowOutcome,
};
use effects_jobs::{Budget, RowJournal, SavedContent};

use crate::oneshot::{OneshotReceiver, oneshot};
use crate::row_snapshot::RowHold;
use crate::settle;
use crate::spill::{Spill, Spilled};
use crate::transaction::Transaction;
use crate::transitions::{self, EntryResult};
use crate::writer_handle::WriterHandle;
use crate::writer_thread::{Durability, command_with_callback};

/// A row that a run of this process holds.
#[derive(Debug)]
pub(crate) struct RowLease {
    writer: Arc<WriterHandle>,
    hold: Arc<RowHold>,
    state: Arc<Mutex<LeaseState>>,
    /// Whether there may be something to let go of.
    holds: AtomicBool,
}

/// What the run's writes have come to, and the budgets of its submissions.
#[derive(Debug, Default)]
struct LeaseState {
    taken: bool,
    /// The budgets that its submissions have to fit into.
    budgets: Vec<Budget>,
    /// The entry that could not be written: to be tried once more before the row is settled.
    unwritten: Option<Entry>,
    /// The row's number, once an intent of it was written.
    number: Option<RowNumber>,
}

impl RowLease {
    pub(crate) fn new(writer: Arc<WriterHandle>, hold: RowHold, holds: bool) -> Self {
        let holds = AtomicBool::new(holds);
        Self { writer, hold: Arc::new(hold), state: Arc::default(), holds }
    }

    fn send(
        &self,
        entry: &Entry,
    ) -> Result<OneshotReceiver<Result<EntryResult, JournalError>>, JournalError> {
        if let Fact::Intent { .. } = entry.fact {
            self.make_room()?;
        }
        // Before it is handed in: the write may succeed although its answer is never read.
        self.holds.store(true, Ordering::SeqCst);
        let rescue = self.rescue(entry);
        let (hold, state) = (Arc::clone(&self.hold), Arc::clone(&self.state));
        let (entry, kept) = (entry.clone(), entry.clone());
        // Kept in case the write fails, or its caller is gone before the answer.
        self.state().unwritten = Some(kept);
        let budgets = self.state().budgets.clone();
        let run = move |tx: &Transaction<'_>| {
            let written = transitions::write(tx, &hold, &budgets, &entry)?;
            // Should the commit fail now, the row was not lost by it.
            if let Err(JournalError::Taken { .. }) = written {
                state.lock().unwrap_or_else(PoisonError::into_inner).taken = true;
            }
            Ok(written)
        };
        // The id is rescued even if the caller no longer waits for the answer.
        let ((receiver, sender), rescuer) = (oneshot(), rescue.clone());
        let reply = move |answer: Result<EntryResult, JournalError>| {
            sender.send(answer.map_err(|error| rescuer.rescue(error)));
        };
        let given = self.writer.send_command(command_with_callback(Durability::Safety, run, reply));
        given.map_err(|error| rescue.rescue(error))?;
        Ok(receiver)
    }

    /// Makes sure that the id of a task can be kept, whatever becomes of the database, before
    /// anything is sent that could make one.
    fn make_room(&self) -> Result<(), JournalError> {
        let spill = &self.writer.spill;
        spill.reserve().map_err(|error| {
            let path = spill.path().display();
            JournalError::Unwritable(format!(
                "there is no room for the id of the task that would be made ({path}: {error})"
            ))
        })
    }

    fn rescue(&self, entry: &Entry) -> Rescue {
        let spilled = match &entry.fact {
            Fact::Created { task_id, request_id } => Some(Spilled {
                identity: self.hold.row.identity,
                owner: self.writer.owner,
                hold: self.hold.number,
                task_id: task_id.clone(),
                request_id: request_id.clone(),
                at: entry.at,
            }),
            _ => None,
        };
        Rescue { spill: Arc::clone(&self.writer.spill), spilled }
    }

    fn written(
        &self,
        entry: &Entry,
        answer: Option<Result<EntryResult, JournalError>>,
    ) -> Result<Admission, JournalError> {
        // Without an answer the thread ended before it gave one.
        let answer =
            answer.unwrap_or_else(|| Err(self.rescue(entry).rescue(self.writer.gone())))?;
        // Durable, or for another run: either way not to be tried again.
        let mut state = self.state();
        state.unwritten = None;
        let (admission, number) = answer?;
        state.number = number.or(state.number);
        Ok(admission)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the id of a task that the database did not take.
#[derive(Clone, Debug)]
struct Rescue {
    spill: Arc<Spill>,
    /// `None` for an entry without one.
    spilled: Option<Spilled>,
}

impl Rescue {
    /// Keeps the id, and says so in the error.
    fn rescue(&self, error: JournalError) -> JournalError {
        let Some(spilled) = &self.spilled else { return error };
        let reason = match error {
            JournalError::Unwritable(reason) => reason,
            other => other.to_string(),
        };
        let (task, path) = (&spilled.task_id, self.spill.path().display());
        JournalError::Unwritable(match self.spill.add(spilled) {
            Ok(()) => format!(
                "{reason}; the id of task {task} is kept in {path} until the journal is next opened"
            ),
            Err(error) => {
                format!("{reason}; nor could the id of task {task} be kept in {path}: {error}")
            }
        })
    }
}

impl Journal for RowLease {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let answer = self.send(entry)?.wait();
        self.written(entry, answer)
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.settle(end)
    }
}

#[async_trait]
impl AsyncJournal for RowLease {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let answer = self.send(entry)?.await;
        self.written(entry, answer)
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.settle(end)
    }
}

impl RowJournal for RowLease {
    fn charge_to(&self, budgets: &[Budget]) {
        budgets.clone_into(&mut self.state().budgets);
    }

    fn settle(&self, end: &RowOutcome) -> Result<(), JournalError> {
        let unwritten = self.state().unwritten.take();
        let (hold, end) = (Arc::clone(&self.hold), end.clone());
        // What the run itself could not write is money's; an end can be found out again.
        let durability = if unwritten.is_some() { Durability::Safety } else { Durability::Writing };
        self.writer.queue(durability, move |tx| {
            match &unwritten {
                Some(Entry { fact: Fact::Intent { request_id, .. }, .. }) => {
                    transitions::withdraw(tx, &hold, request_id)?;
                }
                // Only an intent asks its budgets, and that is withdrawn above.
                Some(entry) => drop(transitions::write(tx, &hold, &[], entry)?),
                None => {}
            }
            settle::settle(tx, &hold, &end)
        })?;
        self.holds.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn picture_saved(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError> {
        let (hold, path) = (Arc::clone(&self.hold), path.to_owned());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let record = move |tx: &Transaction<'_>| {
            settle::record_saved_picture(tx, &hold, index, &path, content)
        };
        self.writer.queue(Durability::Writing, record)
    }

    fn is_taken(&self) -> bool {
        self.state().taken
    }

    fn number(&self) -> Option<RowNumber> {
        self.state().number
    }
}

/// Lets go of the row.
impl Drop for RowLease {
    fn drop(&mut self) {
        if self.holds.load(Ordering::SeqCst) {
            // A journal that takes nothing any more is told of elsewhere, and its process's end
            // lets go of everything.
            let _ = self.settle(&RowOutcome::Abandoned);
        }
    }
}
