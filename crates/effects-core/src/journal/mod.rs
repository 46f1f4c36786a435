//! [`Journal`] and its async twin [`AsyncJournal`] (`run_journal.rs`): what a driver asks of a journal
//! for the one run that it drives. `effects-jobs` and `effects-journal` implement them; the loops in
//! `driver` and the job drivers of both clients write to them. [`RowOutcome`] is in `row_outcome.rs`, [`Entry`]
//! and [`Admission`] in `run`.
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
