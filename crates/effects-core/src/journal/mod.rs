//! The journal of one run: [`Journal`] and its async twin [`AsyncJournal`] (`run_journal.rs`) make the
//! run's [`Entry`]s durable, answer whether it may go on ([`Admission`]), and are told how it ended
//! ([`RowOutcome`], `row_outcome.rs`). The loops in `driver` and the job drivers of both clients write to
//! them. The rows of `effects-journal` and of `MemoryStore` (`effects-jobs`) implement them; so do the
//! command and the Python binding, to track submissions and, in Python, to reserve money of a shared
//! budget, and the testkit, to inject faults.
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
