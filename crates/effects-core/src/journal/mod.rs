//! The journal of one run: [`Journal`] and its async twin [`AsyncJournal`] (`run_journal.rs`) make the
//! run's [`Entry`]s durable, answer whether it may go on ([`Admission`]), and keep how it ended
//! ([`RowOutcome`], `row_outcome.rs`). The loops in `driver` and the job drivers of both clients write to
//! them; `effects-journal`, `effects-jobs` and, for tracking and tests, the command, the Python binding and
//! the testkit implement them.
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
