//! [`RowLease`]: a row that a run of this process holds. `Store` opens it, as a [`RowJournal`]; it is
//! the run's journal ([`Journal`], [`AsyncJournal`]) and lets go of the row when it is dropped.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, Journal, JournalError, RowOutcome,
};
use effects_jobs::{Budget, RowJournal, SavedContent};

use crate::oneshot::{Promise, promise};
use crate::row_line::RowHold;
use crate::spill::{Spill, Spilled};
use crate::transaction::Transaction;
use crate::transitions::{self, EntryResult};
use crate::writer_handle::WriterHandle;
use crate::writer_thread::{Needs, command_with_callback};

/// A row that a run of this process holds.
#[derive(Debug)]
pub(crate) struct RowLease {
    writer: Arc<WriterHandle>,
    claim: Arc<RowHold>,
    standing: Arc<Mutex<Hand>>,
    /// Whether there may be something to let go of.
    holds: AtomicBool,
}

/// What the run's writes have come to, and the budgets of its submissions.
#[derive(Debug, Default)]
struct Hand {
    taken: bool,
    /// The budgets that its submissions have to fit into.
    budgets: Vec<Budget>,
    /// The entry that could not be written: to be tried once more before the row is settled.
    unwritten: Option<Entry>,
}

impl RowLease {
    pub(crate) fn new(writer: Arc<WriterHandle>, claim: RowHold, holds: bool) -> Self {
        let holds = AtomicBool::new(holds);
        Self { writer, claim: Arc::new(claim), standing: Arc::default(), holds }
    }

    fn send(
        &self,
        entry: &Entry,
    ) -> Result<Promise<Result<EntryResult, JournalError>>, JournalError> {
        if let Fact::Intent { .. } = entry.fact {
            self.make_room()?;
        }
        // Before it is handed in: the write may succeed although its answer is never read.
        self.holds.store(true, Ordering::SeqCst);
        let rescue = self.rescue(entry);
        let (claim, standing) = (Arc::clone(&self.claim), Arc::clone(&self.standing));
        let (entry, kept) = (entry.clone(), entry.clone());
        // Kept in case the write fails, or its caller is gone before the answer.
        self.hand().unwritten = Some(kept);
        let budgets = self.hand().budgets.clone();
        let act = move |tx: &Transaction<'_>| {
            let written = transitions::write(tx, &claim, &budgets, &entry)?;
            // Should the commit fail now, the row was not lost by it.
            if let Err(JournalError::Taken { .. }) = written {
                standing.lock().unwrap_or_else(PoisonError::into_inner).taken = true;
            }
            Ok(written)
        };
        // The id is rescued even if the caller no longer waits for the answer.
        let ((promise, keep), rescuer) = (promise(), rescue.clone());
        let tell = move |answer: Result<EntryResult, JournalError>| {
            keep.keep(answer.map_err(|error| rescuer.rescue(error)));
        };
        let given = self.writer.give(command_with_callback(Needs::Safety, act, tell));
        given.map_err(|error| rescue.rescue(error))?;
        Ok(promise)
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
                identity: self.claim.row.identity,
                owner: self.writer.owner,
                claim: self.claim.number,
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
    ) -> EntryResult {
        // Without an answer the thread ended before it gave one.
        let answer =
            answer.unwrap_or_else(|| Err(self.rescue(entry).rescue(self.writer.gone())))?;
        // Durable, or for another run: either way not to be tried again.
        self.hand().unwritten = None;
        answer
    }

    fn hand(&self) -> std::sync::MutexGuard<'_, Hand> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
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
        budgets.clone_into(&mut self.hand().budgets);
    }

    fn settle(&self, end: &RowOutcome) -> Result<(), JournalError> {
        let unwritten = self.hand().unwritten.take();
        let (claim, end) = (Arc::clone(&self.claim), end.clone());
        // What the run itself could not write is money's; an end can be found out again.
        let needs = if unwritten.is_some() { Needs::Safety } else { Needs::Writing };
        self.writer.queue(needs, move |tx| {
            match &unwritten {
                Some(Entry { fact: Fact::Intent { request_id, .. }, .. }) => {
                    transitions::withdraw(tx, &claim, request_id)?;
                }
                // Only an intent asks its budgets, and that is withdrawn above.
                Some(entry) => drop(transitions::write(tx, &claim, &[], entry)?),
                None => {}
            }
            transitions::settle(tx, &claim, &end)
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
        let (claim, path) = (Arc::clone(&self.claim), path.to_owned());
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        let land = move |tx: &Transaction<'_>| transitions::land(tx, &claim, place, &path, content);
        self.writer.queue(Needs::Writing, land)
    }

    fn is_taken(&self) -> bool {
        self.hand().taken
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
