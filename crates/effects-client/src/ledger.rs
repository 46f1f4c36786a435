//! Rows of a journal on their way through a client: what the command line and the Python package
//! share.
//!
//! A [`Ledger`] opens a row and says what there is to do for it; the [`OpenRow`] makes the job of
//! it, and is told how the job ended and where its pictures landed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use effects_client::{Ending, Found, Job, Ledger};
//! # use effects_core::{Effect, EffectRequest, Error, Journal, JournalError, Row};
//! # type Run = fn(Job<Arc<dyn Journal>>) -> Result<Effect, Error>;
//! # fn example(ledger: &Ledger, row: &Row, request: EffectRequest, run: Run) -> Result<(), JournalError> {
//! let (open, job) = match ledger.open(row)? {
//!     Found::Submit(open) => { let job = open.submit(request); (open, job) }
//!     Found::Watch(open) => { let job = open.watch(); (open, job.expect("it has a task")) }
//!     Found::Settled(_) | Found::Doubtful(_) | Found::Elsewhere(_) => return Ok(()),
//! };
//! let result = run(job);
//! if open.settle(&result)? == Ending::Told && result.is_ok() {
//!     // … download …
//!     open.landed(0, "ball.png".as_ref())?;
//! }
//! ledger.store().flush()
//! # }
//! ```

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use effects_core::{
    AsyncJournal, Budget, Effect, EffectRequest, Error, Journal, JournalError, JournalStore,
    Opened, Origin, PictureRecord, Record, Row, RowDraft, RowEnd, RowJournal, RowName, RowNumber,
    RowPhoto, Standing, TaskId, Time,
};

use rust_decimal::Decimal;

use crate::job::{Job, Work};
use crate::random::random_bytes;
use crate::saved_picture::{PictureState, saved_content};

/// Opens the rows of a journal for a client.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn JournalStore>,
    retry_failed: u32,
    budgets: Vec<Budget>,
}

/// What there is to do for a row.
#[derive(Debug)]
pub enum Found {
    /// Submit it: nothing is paid for it. Or, with [`Ledger::retrying_failed`], it is paid anew.
    Submit(OpenRow),
    /// Follow its task, which costs nothing: it has no verdict yet, or its pictures are not where
    /// they belong.
    Watch(OpenRow),
    /// Nothing: it has its verdict, and its pictures are where they belong.
    Settled(OpenRow),
    /// A person has to find out what became of it.
    Doubtful(Record),
    /// Somebody else has it in hand.
    Elsewhere(Record),
}

/// How a run left its row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The journal was told.
    Told,
    /// Another run was faster, and this one sent nothing: open the row again to see where it
    /// stands.
    Taken,
}

impl Ledger {
    /// A ledger over this store. Failed rows stay as they are.
    pub fn new(store: Arc<dyn JournalStore>) -> Self {
        Self { store, retry_failed: 0, budgets: Vec::new() }
    }

    /// The same ledger, whose submissions have to fit into this budget too.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// The same ledger, whose submissions have to fit into a budget of their own: at most `limit`
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
    /// while it can still be submitted anew is opened again by whoever drives it.
    #[must_use]
    pub fn retrying_failed(self, times: u32) -> Self {
        Self { retry_failed: times, ..self }
    }

    /// A row in hand that is to be submitted: its submissions have to fit into the budgets.
    fn charged(&self, journal: Arc<dyn RowJournal>, record: Option<Record>) -> OpenRow {
        journal.charge_to(&self.budgets);
        OpenRow { journal, record }
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
            other => self.found(other, row.target.as_deref()),
        }
    }

    /// Takes a row that has a task in hand, to follow it: it is never submitted.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::take`].
    pub fn resume(&self, row: RowNumber) -> Result<Found, JournalError> {
        let opened = self.store.take(row)?;
        let target = match &opened {
            Opened::Watch(record, _) | Opened::Finished(record, _) => record.row.target.clone(),
            _ => None,
        };
        Self::new(Arc::clone(&self.store)).found(opened, target.as_deref())
    }

    /// Takes the row of a task in hand, to follow it; `None` where the journal knows no such task.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::look`] and [`JournalStore::take`].
    pub fn follow(&self, origin: &Origin, task: &TaskId) -> Result<Option<Found>, JournalError> {
        let name = RowName::Task(origin.clone(), task.clone());
        let record = self.store.look(&name)?;
        record.map(|record| self.resume(record.number)).transpose()
    }

    /// A row for a single run, which nothing is known again by: the same run given again on purpose
    /// is another row.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::open`].
    pub fn begin(&self, draft: RowDraft) -> Result<OpenRow, JournalError> {
        let chance = random_bytes().map_err(|error| JournalError::Unwritable(error.to_string()))?;
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
            photo: RowPhoto::Url(request.reference().clone()),
            key: None,
            tag: None,
            target: None,
        })
    }

    fn found(&self, opened: Opened, target: Option<&Path>) -> Result<Found, JournalError> {
        Ok(match opened {
            Opened::Submit(journal) => Found::Submit(self.charged(journal, None)),
            Opened::Watch(record, journal) => {
                Found::Watch(OpenRow { journal, record: Some(record) })
            }
            Opened::Finished(record, journal) => {
                if record.standing.may_be_renewed() && record.renewals < self.retry_failed {
                    let journal = self.store.renew(record.number)?;
                    return Ok(Found::Submit(self.charged(journal, Some(record))));
                }
                let there = match &record.standing {
                    Standing::Completed { pictures, .. } => {
                        self.are_there(record.number, pictures, target)?
                    }
                    _ => true,
                };
                let open = OpenRow { journal, record: Some(record) };
                if there { Found::Settled(open) } else { Found::Watch(open) }
            }
            Opened::Doubtful(record) => Found::Doubtful(record),
            Opened::Elsewhere(record) => Found::Elsewhere(record),
        })
    }

    /// Whether every picture is where it belongs: at the target or beside it, else where it was put;
    /// and where it was never wanted on the disk, nowhere. A changed one is the user's, and stays.
    fn are_there(
        &self,
        row: RowNumber,
        pictures: &[PictureRecord],
        target: Option<&Path>,
    ) -> Result<bool, JournalError> {
        let target = target.map(whole);
        for picture in pictures {
            let is_in_place = match (&picture.path, &target) {
                (None, None) => continue,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some(path), Some(target)) => {
                    path.starts_with(target) || path.parent() == target.parent()
                }
            };
            if !is_in_place || PictureState::of(&*self.store, row, picture)? == PictureState::Gone {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A row in hand. Clones are the same row; dropping the last lets go of it.
#[derive(Clone, Debug)]
pub struct OpenRow {
    journal: Arc<dyn RowJournal>,
    record: Option<Record>,
}

impl OpenRow {
    /// What was known of it when it was opened; `None` if nothing, or nothing that still counts.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The job of submitting it: for [`Found::Submit`] alone.
    pub fn submit<J: JobJournal>(&self, request: EffectRequest) -> Job<J> {
        Job { work: Work::Submit(request), journal: Some(self.journal()) }
    }

    /// The job of following its task, if it has one.
    pub fn watch<J: JobJournal>(&self) -> Option<Job<J>> {
        let record = self.record()?;
        let task = record.standing.task()?.clone();
        let template = Some(record.row.template.clone());
        let work = Work::Watch { task, template, submitted: self.submitted() };
        Some(Job { work, journal: Some(self.journal()) })
    }

    /// When its task was submitted, if it has one: for whoever follows it without
    /// [`watch`](Self::watch). A task whose submission is on record exists, whatever a look says.
    pub fn submitted(&self) -> Option<Time> {
        self.record()?.standing.submitted()
    }

    /// The journal of its run, for a client's `with_journal`.
    pub fn journal<J: JobJournal>(&self) -> J {
        J::of(Arc::clone(&self.journal))
    }

    /// Tells how the run of its job ended. It returns at once;
    /// [`flush`](JournalStore::flush) makes sure of it.
    ///
    /// # Errors
    ///
    /// Those of [`RowJournal::settle`].
    pub fn settle(&self, result: &Result<Effect, Error>) -> Result<Ending, JournalError> {
        if self.journal.is_taken() {
            return Ok(Ending::Taken);
        }
        self.journal.settle(&RowEnd::of(result))?;
        Ok(Ending::Told)
    }

    /// Tells that a picture is in this file; `index` is its place in the effect. The file is read, so
    /// that [`PictureState`] knows it again.
    ///
    /// # Errors
    ///
    /// Those of [`RowJournal::landed`].
    pub fn landed(&self, index: usize, path: &Path) -> Result<(), JournalError> {
        self.journal.landed(index, &whole(path), saved_content(path))
    }
}

/// A client's kind of journal, as a row in hand can be one.
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

/// The path from the root: a journal is read from other folders too.
fn whole(path: &Path) -> PathBuf {
    // Fails only for an empty path, or where there is no current folder.
    absolute(path).unwrap_or_else(|_| path.to_owned())
}
