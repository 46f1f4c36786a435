//! [`RowLease`]: a row in memory while one run holds it. `MemoryStore` hands it out as the
//! [`RowJournal`] of the run, to which both clients' runs and the simulation write: each intent, task
//! and end goes into the store's table at once. Dropped before an end was recorded, it lets go of the
//! row.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::MemoryStore;
use super::stored_row::{RowHold, RowStage};
use crate::journal::budget::Budget;
use crate::journal::record::{Attempt, PictureRecord, SavedContent};
use crate::journal::store::RowJournal;
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, Journal, JournalError, RowOutcome,
};

/// A row of a [`MemoryStore`] in the hands of a run.
#[derive(Debug)]
pub(super) struct RowLease {
    pub(super) store: MemoryStore,
    pub(super) hold: RowHold,
    pub(super) state: Mutex<LeaseState>,
}

#[derive(Debug)]
pub(super) struct LeaseState {
    pub(super) budgets: Vec<Budget>,
    pub(super) taken: bool,
    /// Whether there may be something to let go of.
    pub(super) holds: bool,
}

impl RowLease {
    pub(super) fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for RowLease {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let mut state = self.state();
        // Before the entry is written: from here on a run that is dropped has a row to let go of.
        state.holds = true;
        // The lease's own lock is held, and the table's is taken under it, never the other way
        // round.
        let mut table = self.store.table();
        table.now = table.now.max(entry.at);
        match &entry.fact {
            Fact::Intent { request_id, idempotency_key, .. } => {
                let (request_id, key) = (request_id.clone(), idempotency_key.clone());
                let attempt = Attempt { request_id, idempotency_key: key, at: entry.at };
                let answer = table.intend(&self.hold, &state.budgets, attempt);
                state.taken |= matches!(answer, Err(JournalError::Taken { .. }));
                answer
            }
            Fact::Created { task_id, request_id } => {
                table.create(&self.hold, task_id, request_id.as_deref(), entry.at)
            }
            Fact::Released { reason } => {
                // A task that was made meanwhile outweighs it: only an intent can be released.
                if let Some(stored) = table.held(&self.hold)
                    && stored.state == RowStage::Intent
                {
                    stored.revert_intent(reason);
                    let index = table.by_identity[&self.hold.row.identity];
                    table.note_reservation(index);
                }
                Ok(Admission::Admitted)
            }
        }
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.settle(end)
    }
}

#[async_trait]
impl AsyncJournal for RowLease {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        Journal::write(self, entry)
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
        self.state().holds = false;
        self.store.table().settle(&self.hold, end);
        Ok(())
    }

    fn picture_saved(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError> {
        let mut table = self.store.table();
        let row = table.by_identity.get(&self.hold.row.identity).copied();
        if let Some(stored) = row.map(|row| &mut table.rows[row])
            && let Some(task) = stored.task
        {
            let pictures = &mut stored.tasks[task].pictures;
            // A picture may be saved before those that come before it.
            while pictures.len() <= index {
                pictures.push(PictureRecord { url: String::new(), path: None, content: None });
            }
            (pictures[index].path, pictures[index].content) = (Some(path.to_owned()), content);
        }
        Ok(())
    }

    fn is_taken(&self) -> bool {
        self.state().taken
    }
}

/// Lets go of the row.
impl Drop for RowLease {
    fn drop(&mut self) {
        if self.state().holds {
            self.store.table().settle(&self.hold, &RowOutcome::Abandoned);
        }
    }
}
