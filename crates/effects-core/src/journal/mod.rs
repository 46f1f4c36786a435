//! The journal of one run: [`Journal`] and its async twin [`AsyncJournal`] (`run_journal.rs`) make each
//! [`Entry`] of the run durable, answer with an [`Admission`] whether it may go on, and are told its
//! [`RowOutcome`] (`row_outcome.rs`) at the end; `Entry` and `Admission` are defined in `run/`. The loops
//! in `driver` and the clients' own drivers write to them. The rows of `effects-journal` and of
//! `MemoryStore` (`effects-jobs`) implement them, and so do types of the command, the Python binding and
//! the testkit that track submissions, reserve money or inject faults.
//!
//! A run gives an [`Entry`] before it sends anything that costs money and as soon as it knows its task's
//! id; the journal answers with an [`Admission`], and is told the [`RowOutcome`]. The crate `effects-jobs`
//! keeps rows and budgets behind this.

mod error;
mod row_outcome;
mod run_journal;

pub use crate::run::admission::{Admission, OverBudget, RowNumber};
pub use crate::run::entry::{Entry, EntryId, Fact};
pub use error::{JournalError, another};
pub use row_outcome::RowOutcome;
pub use run_journal::{AsyncJournal, Journal, NoJournal};
