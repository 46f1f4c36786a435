//! [`JournalStore`]: the contract of a store of rows: it gives each row to one run at a time, finds, lists
//! and imports rows, and adds up costs. [`RowJournal`]: a row in hand, as the journal of its run.
//! `effects-journal` implements both over SQLite and Postgres, [`MemoryStore`](super::MemoryStore) in
//! memory. `JournalSession` opens rows in a store; the jobs of `effects-client`, the command (batches,
//! `tasks`, `resolve`, `reorder`, `cost` and others), the Python package and Rust programs ask it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::journal::budget::{Budget, ScopeMembership, ScopeNumber, ScopeState};
use crate::journal::identity::Identity;
use crate::journal::record::{Record, RowState, SavedContent};
use crate::journal::row::Row;
use effects_core::journal::{AsyncJournal, Journal, JournalError, RowNumber, RowOutcome};
use effects_core::{Origin, TaskId};

/// Keeps rows: durably, and for several processes at once.
///
/// Every method may block for as long as the disk takes. What one call of a process wrote, the next
/// one reads.
pub trait JournalStore: fmt::Debug + Send + Sync {
    /// Takes a row in hand, or says why not. Nothing is written for a row that is to be submitted:
    /// its intent will be, and if another process was faster, that write is the one that fails.
    ///
    /// # Errors
    ///
    /// [`JournalError::KeyReused`] when the row's key is that of a row that asks for something else.
    fn open(&self, row: &Row) -> Result<Opened, JournalError>;

    /// Takes a row that has a task in hand, by its number.
    ///
    /// # Errors
    ///
    /// [`JournalError::NoSuchRow`]; [`JournalError::WrongRowState`] for a released row, which is only
    /// ever opened.
    fn take(&self, row: RowNumber) -> Result<Opened, JournalError>;

    /// Takes a failed row in hand for a new task, which costs anew. As long as its intent is not
    /// written, it stays failed.
    ///
    /// # Errors
    ///
    /// [`JournalError::WrongRowState`] unless it
    /// [`may_be_renewed`](super::RowState::may_be_renewed).
    fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError>;

    /// Takes a row with a verdict in hand for a new task, which costs anew: a person wants another picture
    /// of it. As long as its intent is not written, and where nothing comes of that, it stays as it is.
    /// A completed row whose new task fails is completed as it was; its record names the task as
    /// [`failed_order`](Record::failed_order). What all its tasks cost counts.
    ///
    /// # Errors
    ///
    /// [`JournalError::WrongRowState`] unless it is completed or failed.
    fn reorder(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError>;

    /// Settles a doubtful row with what a person found out.
    ///
    /// # Errors
    ///
    /// [`JournalError::WrongRowState`] unless it is doubtful; [`JournalError::TaskOfAnotherRow`].
    fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError>;

    /// Takes in a row as another journal knows it, so that it is followed here and not paid again;
    /// whether it was taken in. A row that this store knows stays as it is, unless it is released and
    /// no run has it in hand. An intent is taken in as doubtful: its owner is another store's. A
    /// released row is not taken in, since there is nothing to know of it.
    ///
    /// `earlier` is what its tasks before the current task or doubt cost, in USD. Their ids are not
    /// known, so they are kept as one failed task. All costs count in the scopes of the row, and what the
    /// row has paid here already counts once. Of a row that stays as it is, what the other journal knows
    /// to be paid and this one has not counted is kept so as well; a task that is open here counts with its end.
    ///
    /// What was taken in is durable after the next [`flush`](Self::flush).
    ///
    /// ```
    /// use effects_core::{BaseUrl, Size, Template, Time};
    /// use effects_jobs::{JournalStore, MemoryStore, Opened, RowDraft, RowPhoto, RowState};
    /// use rust_decimal::Decimal;
    ///
    /// let row = RowDraft {
    ///     origin: BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone(),
    ///     template: Template::GlassBall,
    ///     size: Size::DEFAULT,
    ///     params: Default::default(),
    ///     photo: RowPhoto::Url("https://example.com/cat.jpg".parse()?),
    ///     key: None,
    ///     tag: None,
    ///     target: None,
    /// }
    /// .row(0)?;
    /// let task = "d758n65e878c73cmdg20".parse()?;
    /// let state = RowState::Created { task, submitted: Time::from_millis(1_764_000_000_000) };
    /// let store = MemoryStore::new();
    /// assert!(store.import(&row, &state, Decimal::ZERO)?);
    /// assert!(!store.import(&row, &state, Decimal::ZERO)?);
    /// assert!(matches!(store.open(&row)?, Opened::Watch(..)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JournalError::TaskOfAnotherRow`]; when it cannot be written.
    fn import(&self, row: &Row, state: &RowState, earlier: Decimal) -> Result<bool, JournalError>;

    /// Takes in a new order of a completed row as another journal knows it: an intent or a doubt, which
    /// is doubtful here, or a task without a verdict, which is followed. Whether it was taken in: only
    /// where the row is completed with the task `paid`, whose picture it keeps as
    /// [`paid_picture`](Record::paid_picture), and the order's task is none of its own. What the row's tasks
    /// cost there is told to [`import`](Self::import), which comes first.
    ///
    /// What was taken in is durable after the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`JournalError::TaskOfAnotherRow`]; when it cannot be written.
    fn import_order(
        &self,
        row: &Identity,
        paid: &TaskId,
        order: &RowState,
    ) -> Result<bool, JournalError>;

    /// The id of the journal, by which its file is told from another at the same path, and a copy is
    /// known; `None` for a store that is gone with its process.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn id(&self) -> Result<Option<String>, JournalError>;

    /// What is known of a row, without taking it in hand; `None` if it is not begun.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn find(&self, row: &RowName) -> Result<Option<Record>, JournalError>;

    /// Rows in the order of their numbers: a page of [`Filter::limit`].
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn list(&self, filter: &Filter) -> Result<Vec<Record>, JournalError>;

    /// What tasks cost, added up: a sum for each origin and group, in their order.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn spend(&self, by: SpendBy, origin: Option<&Origin>) -> Result<Vec<Spend>, JournalError>;

    /// What the tasks of rows cost that the store has forgotten since, in USD, by the name of the scope that
    /// counts them still: none of it is in [`spend`](Self::spend). A store that forgets nothing has none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn forgotten_costs(&self) -> Result<Vec<(String, Decimal)>, JournalError> {
        Ok(Vec::new())
    }

    /// Opens a scope: a set of rows whose costs are counted together. One with a name is the same
    /// scope whenever it is opened; one without is new.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn open_scope(&self, name: Option<&str>) -> Result<ScopeNumber, JournalError>;

    /// Makes rows members of a scope, begun or not; what was paid for them counts from now on. A row
    /// that submits with a [`Budget`] becomes a member of its scope by itself.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn add_to_scope(&self, scope: ScopeNumber, rows: &[Identity]) -> Result<(), JournalError>;

    /// The scope with this name; `None` where there is none, and none is made.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn find_scope(&self, name: &str) -> Result<Option<ScopeNumber>, JournalError>;

    /// The scopes that a row is a member of, begun or not, and what each counts of it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn scopes_of(&self, row: &Identity) -> Result<Vec<ScopeMembership>, JournalError>;

    /// What the rows of a scope have paid, and what is reserved for them.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError>;

    /// Returns once everything settled so far is durable.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unwritable`] when it is not, or some of what was settled since the last call
    /// never will be.
    fn flush(&self) -> Result<(), JournalError>;
}

/// A row in hand: the journal of its run, and what comes after it.
///
/// Dropping the last of it lets go of the row: a created one can be taken over by the next run, and
/// an intent that was neither confirmed nor settled is doubtful.
pub trait RowJournal: Journal + AsyncJournal + fmt::Debug {
    /// The budgets that its submissions have to fit into; said before the first intent.
    fn charge_to(&self, budgets: &[Budget]);

    /// What the run came to. It is taken in order and returns at once: the next
    /// [`flush`](JournalStore::flush) makes sure of it. Nothing is lost with it but time, since
    /// looking at a task again costs nothing. A driver tells it through [`Journal::ended`].
    ///
    /// # Errors
    ///
    /// When it is known already that it cannot be written.
    fn settle(&self, end: &RowOutcome) -> Result<(), JournalError>;

    /// A picture was downloaded to this file, which has this in it; `index` is its place among the
    /// task's. Taken in order like [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// When it is known already that it cannot be written.
    fn picture_saved(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError>;

    /// Whether a write failed with [`JournalError::Taken`]: another run was faster, and this one
    /// sent nothing.
    fn is_taken(&self) -> bool;

    /// The row's number, once an intent of it was written, where that is known without asking the store.
    fn number(&self) -> Option<RowNumber> {
        None
    }
}

/// What [`JournalStore::open`] finds.
#[derive(Debug)]
pub enum Opened {
    /// Nothing is paid for it: submit it, with this as the journal of its run.
    Submit(Arc<dyn RowJournal>),
    /// It has a task without a verdict, which no other run follows: follow it.
    Watch(Record, Arc<dyn RowJournal>),
    /// It has a verdict. The journal is for pictures that are downloaded again.
    Finished(Record, Arc<dyn RowJournal>),
    /// A person has to find out what became of it.
    Doubtful(Record),
    /// Another run has it in hand.
    Elsewhere(Record),
}

/// By what a row is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowName {
    /// Its number.
    Number(RowNumber),
    /// Its identity.
    Identity(Identity),
    /// Its task, at this origin.
    Task(Origin, TaskId),
    /// The file that a picture of it was saved to; of several such rows, the one that was saved
    /// there last.
    Picture(PathBuf),
}

/// What a person found out of a doubtful row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolution {
    /// It made this task.
    Task(TaskId),
    /// It made none, and nothing was billed.
    NotBilled,
}

/// Which rows to list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// How they stand.
    pub which: Which,
    /// Of this origin alone.
    pub origin: Option<Origin>,
    /// With this tag alone.
    pub tag: Option<String>,
    /// Those after this row: the last one of the page before.
    pub after: Option<RowNumber>,
    /// At most so many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { which: Which::All, origin: None, tag: None, after: None, limit: 1_000 }
    }
}

/// How the rows of a [`Filter`] stand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Which {
    /// Anyhow.
    #[default]
    All,
    /// Without an end: intents, doubtful and created ones, and completed ones with a
    /// [`target`](Row::target) whose pictures were never downloaded.
    Unfinished,
    /// Doubtful alone.
    Doubtful,
    /// Without a verdict: intents, doubtful and created ones.
    Open,
}

/// By what costs are added up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpendBy {
    /// By template id.
    Template,
    /// By tag; what has none is under the empty one.
    Tag,
    /// By the day (UTC) on which the task was submitted: `2026-01-31`.
    Day,
    /// By the name of the [`Scope`](JournalStore::open_scope) that the row is in; what is in no named one
    /// is under the empty name, and what is in several counts in each.
    Scope,
}

/// What the tasks of one group cost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spend {
    /// The gateway.
    pub origin: Origin,
    /// The template id, the tag, the day, or the scope's name.
    pub group: String,
    /// How many tasks.
    pub tasks: u64,
    /// How many of them have not told their cost: they run, or were never billed openly. A failed task
    /// without a bill cost nothing.
    pub unpriced: u64,
    /// What the others cost, in USD, exact to the digit.
    pub cost: Decimal,
    /// The highest cost of one of them, in USD.
    pub highest: Option<Decimal>,
}
