//! [`JournalSession`]: opens rows of a journal for a client, so that no picture is paid for twice. By the
//! row's state it decides whether the row is submitted, within the session's budgets, its task followed, or
//! neither ([`Found`]); a row that ended is bought anew only where the session says so. The command (single
//! tasks, batches, `resume`, `reorder`, `doctor`), the Python package, Rust programs and `JobContext` open
//! their rows with it.
//!
//! A [`JournalSession`] opens a row and says what there is to do for it; the [`OpenRow`] is the journal of its
//! run, and is told how the run ended and where its pictures landed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use effects_client::JournalSession;
//! # use effects_core::{Effect, Error};
//! # use effects_core::journal::{Journal, JournalError};
//! # use effects_jobs::Row;
//! # use effects_jobs::Found;
//! # type Run = fn(Arc<dyn Journal>) -> Result<Effect, Error>;
//! # fn example(session: &JournalSession, row: &Row, submit: Run, watch: Run) -> Result<(), JournalError> {
//! let (open, result) = match session.open(row)? {
//!     Found::Submit(open) => { let result = submit(open.journal()); (open, result) }
//!     Found::Watch(open) => { let result = watch(open.journal()); (open, result) }
//!     Found::Settled(_) | Found::Doubtful(_) | Found::Elsewhere(_) => return Ok(()),
//! };
//! open.settle(&result)?;
//! session.store().flush()
//! # }
//! ```

use std::sync::Arc;

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{EffectRequest, Origin, TaskId};
use effects_jobs::{
    Budget, Found, JournalStore, OpenRow, Opened, Record, Row, RowDraft, RowJournal, RowName,
    RowPhoto,
};
use rust_decimal::Decimal;

use crate::random::random_bytes;

/// Opens the rows of a journal for a client.
#[derive(Clone, Debug)]
pub struct JournalSession {
    store: Arc<dyn JournalStore>,
    retry_failed: u32,
    reorders: bool,
    budgets: Vec<Budget>,
}

impl JournalSession {
    /// A session over this store. Failed rows stay as they are.
    pub fn new(store: Arc<dyn JournalStore>) -> Self {
        Self { store, retry_failed: 0, reorders: false, budgets: Vec::new() }
    }

    /// The same session, whose submissions have to fit into this budget too.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// The same session, whose submissions have to fit into a budget of their own: at most `limit`
    /// USD together, and one of them at most `price`, where that is known.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::open_scope`].
    pub fn with_budget(self, limit: Decimal, price: Option<Decimal>) -> Result<Self, JournalError> {
        let scope = self.store.open_scope(None)?;
        Ok(self.within(Budget { scope, limit, price }))
    }

    /// The budgets that submissions have to fit into.
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// Submits a failed row anew, which costs anew, up to so many times in its life; and only where
    /// a new task may do better: the service's codes 3009095 to 3009099. A row that fails again
    /// while it can still be submitted anew is opened again by its driver.
    #[must_use]
    pub fn retrying_failed(self, times: u32) -> Self {
        Self { retry_failed: times, ..self }
    }

    /// The same session, which buys every row anew that has a verdict, however often it was bought before: a
    /// person wants another picture.
    #[must_use]
    pub fn reordering(self) -> Self {
        Self { reorders: true, ..self }
    }

    /// A row in hand that is to be submitted: its submissions have to fit into the budgets.
    fn charged(&self, journal: Arc<dyn RowJournal>, record: Option<Record>) -> OpenRow {
        journal.charge_to(&self.budgets);
        OpenRow::new(journal, record)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn JournalStore> {
        &self.store
    }

    /// Takes a row in hand.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::open`].
    pub fn open(&self, row: &Row) -> Result<Found, JournalError> {
        match self.store.open(row)? {
            Opened::Submit(journal) => Ok(Found::Submit(self.charged(journal, None))),
            other => self.found(other),
        }
    }

    /// Takes a row that has a task in hand, to follow it: it is never submitted.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::take`].
    pub fn resume(&self, row: RowNumber) -> Result<Found, JournalError> {
        // Without the budgets and orders of this session: what is only followed costs nothing, and
        // is not bought anew.
        Self::new(Arc::clone(&self.store)).found(self.store.take(row)?)
    }

    /// Takes the row of a task in hand, to follow it; `None` where the journal knows no such task.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::find`] and [`JournalStore::take`].
    pub fn follow(&self, origin: &Origin, task: &TaskId) -> Result<Option<Found>, JournalError> {
        let name = RowName::Task(origin.clone(), task.clone());
        let record = self.store.find(&name)?;
        record.map(|record| self.resume(record.number)).transpose()
    }

    /// A row for a single run, which nothing is known again by: the same run given again on purpose
    /// is another row.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::open`].
    pub fn begin(&self, draft: RowDraft) -> Result<OpenRow, JournalError> {
        // A row of its own for each call: a single run given twice is meant twice.
        let chance = random_bytes().map_err(|error| JournalError::Unwritable(error.to_string()))?;
        // A hash over the chance alone: nothing of the draft makes two such rows one.
        let row = draft.unique(chance);
        match self.store.open(&row)? {
            Opened::Submit(journal) => Ok(self.charged(journal, None)),
            // Sixteen bytes of chance came twice, or the store is none.
            _ => Err(JournalError::Unwritable("a new row was there already".to_owned())),
        }
    }

    /// A row for one request that nothing else is known of: its cost counts in the budgets.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::open`].
    pub fn begin_request(
        &self,
        origin: &Origin,
        request: &EffectRequest,
    ) -> Result<OpenRow, JournalError> {
        self.begin(RowDraft {
            origin: origin.clone(),
            template: request.template().clone(),
            size: request.size(),
            params: request.params().clone(),
            photo: RowPhoto::Url(request.reference().clone()),
            key: None,
            tag: None,
            target: None,
        })
    }

    fn found(&self, opened: Opened) -> Result<Found, JournalError> {
        Ok(match opened {
            Opened::Submit(journal) => Found::Submit(self.charged(journal, None)),
            Opened::Watch(record, journal) => Found::Watch(OpenRow::new(journal, Some(record))),
            Opened::Finished(record, _) if self.reorders => {
                let journal = self.store.reorder(record.number)?;
                Found::Submit(self.charged(journal, Some(record)))
            }
            Opened::Finished(record, journal) => {
                // Counted over the row's life and not for this run, so that a line run again and
                // again does not pay again and again.
                if record.state.may_be_renewed() && record.renewals < self.retry_failed {
                    let journal = self.store.renew(record.number)?;
                    return Ok(Found::Submit(self.charged(journal, Some(record))));
                }
                Found::Settled(OpenRow::new(journal, Some(record)))
            }
            Opened::Doubtful(record) => Found::Doubtful(record),
            Opened::Elsewhere(record) => Found::Elsewhere(record),
        })
    }
}
