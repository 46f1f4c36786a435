//! [`OpenRow`]: a row of a journal that a job or a single run has in hand. [`Found`]: what there is to
//! do for a row: submit it, follow its task, nothing, or leave it to a person or to another run.
//! `JournalSession` of `effects-client` opens rows, and `JobMachine` goes on by [`Found`]. The jobs of
//! both clients and the single runs of the command and the Python package write to an [`OpenRow`], as
//! the blocking or async journal that [`JobJournal`] makes of it.

use std::path::Path;
use std::sync::Arc;

use crate::journal::{Record, RowJournal, SavedContent};
use effects_core::journal::{AsyncJournal, Journal, JournalError, RowNumber, RowOutcome};
use effects_core::{Effect, Error, TaskId, Time};

/// What there is to do for a row that was opened.
#[derive(Debug)]
pub enum Found {
    /// Submit it: nothing is paid for it, or it is paid anew.
    Submit(OpenRow),
    /// Follow its task, which costs nothing: it has no verdict yet, or its pictures are not where
    /// they belong.
    Watch(OpenRow),
    /// Nothing: it has its verdict, and its pictures are where they belong.
    Settled(OpenRow),
    /// A person has to find out what became of it.
    Doubtful(Record),
    /// Another run has it in hand.
    Elsewhere(Record),
}

/// A row in hand. Clones are the same row; dropping the last lets go of it.
#[derive(Clone, Debug)]
pub struct OpenRow {
    journal: Arc<dyn RowJournal>,
    record: Option<Box<Record>>,
}

impl OpenRow {
    /// A row that a store opened, and what was known of it then, if that still counts.
    pub fn new(journal: Arc<dyn RowJournal>, record: Option<Record>) -> Self {
        Self { journal, record: record.map(Box::new) }
    }

    /// What was known of it when it was opened; `None` if nothing, or nothing that still counts.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// Its number, where it had one when it was opened or an intent of it was written since, and its store
    /// need not be asked.
    pub fn number(&self) -> Option<RowNumber> {
        self.record().map(|record| record.number).or_else(|| self.journal.number())
    }

    /// Its task, if it had one when it was opened.
    pub fn task(&self) -> Option<&TaskId> {
        self.record()?.state.task()
    }

    /// When its task was submitted, if it has one. A task whose submission is on record exists, also
    /// where a look does not find it.
    pub fn submitted(&self) -> Option<Time> {
        self.record()?.state.submitted()
    }

    /// The journal of its run, as a client's kind of journal.
    pub fn journal<J: JobJournal>(&self) -> J {
        J::of(Arc::clone(&self.journal))
    }

    /// Tells how its run ended, unless another run was faster and this one sent nothing. It returns at
    /// once; the store's `flush` makes sure of it.
    ///
    /// # Errors
    ///
    /// Those of [`RowJournal::settle`].
    pub fn settle(&self, result: &Result<Effect, Error>) -> Result<(), JournalError> {
        // The end of a run that sent nothing would replace that of the run which has the row.
        if self.journal.is_taken() {
            return Ok(());
        }
        self.journal.settle(&RowOutcome::of(result))
    }

    /// Tells that a picture is in this file, which has this in it; `index` is its place in the effect.
    ///
    /// # Errors
    ///
    /// Those of [`RowJournal::picture_saved`].
    pub fn picture_saved(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError> {
        self.journal.picture_saved(index, path, content)
    }
}

/// The journal type of a driver, blocking or async, that an open row is handed to its run as.
pub trait JobJournal {
    /// The row as a journal of this kind.
    fn of(row: Arc<dyn RowJournal>) -> Self;
}

impl JobJournal for Arc<dyn Journal> {
    fn of(row: Arc<dyn RowJournal>) -> Self {
        row
    }
}

impl JobJournal for Arc<dyn AsyncJournal> {
    fn of(row: Arc<dyn RowJournal>) -> Self {
        row
    }
}
