//! [`Journal`] and its async twin [`AsyncJournal`]: what a driver asks of a journal for the one run that it
//! drives. `effects-jobs` and `effects-journal` implement it, and the loops in `driver` write to it.
//!
//! A run gives an [`Entry`] before it sends anything that costs money and as soon as it knows its task's
//! id; the journal answers with an [`Admission`], and is told the [`RowEnd`]. The crate `effects-jobs`
//! keeps rows and budgets behind this.

mod error;
mod row_end;
mod run_journal;

pub use crate::run::admission::{Admission, OverBudget, RowNumber};
pub use crate::run::entry::{Entry, EntryId, Fact};
pub use error::{JournalError, another};
pub use row_end::RowEnd;
pub use run_journal::{AsyncJournal, Journal, NoJournal};
