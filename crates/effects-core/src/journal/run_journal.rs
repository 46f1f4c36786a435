//! [`Journal`] and [`AsyncJournal`]: make the entries of one run durable; the answer says whether its
//! submission fits into the budget. The loops in `driver` and both clients' job drivers write to them. Rows
//! of `effects-journal` and of `MemoryStore` implement them; so do the trackers of submissions in the
//! command and the Python binding, the Python clients' budget reservations, and journals of tests, such as
//! one with faults in the testkit. [`NoJournal`], a client's default, keeps nothing.

use async_trait::async_trait;

use super::error::JournalError;
use super::row_outcome::RowOutcome;
use crate::run::admission::Admission;
use crate::run::entry::Entry;

/// Makes entries durable, blocking the thread. No driver goes on before it has.
pub trait Journal: Send + Sync {
    /// Returns once the entry would survive the end of the process, or says that an intent does not
    /// fit into a budget (yet). An entry whose writing was interrupted comes again under the same id.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when it would not; the driver then sends nothing more.
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError>;

    /// Takes note of how the run ended. It returns at once; a driver calls it when a run is over.
    ///
    /// # Errors
    ///
    /// When it is known already that it cannot be kept.
    fn ended(&self, _end: &RowOutcome) -> Result<(), JournalError> {
        Ok(())
    }
}

/// Makes entries durable, without blocking; otherwise like [`Journal`].
#[async_trait]
pub trait AsyncJournal: Send + Sync {
    /// Returns once the entry would survive the end of the process, or says that an intent does not
    /// fit into a budget (yet). An entry whose writing was interrupted comes again under the same id.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when it would not; the driver then sends nothing more.
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError>;

    /// Takes note of how the run ended. It returns at once; a driver calls it when a run is over.
    ///
    /// # Errors
    ///
    /// When it is known already that it cannot be kept.
    fn ended(&self, _end: &RowOutcome) -> Result<(), JournalError> {
        Ok(())
    }
}

/// No journal: nothing is kept, everything is confirmed at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn write(&self, _entry: &Entry) -> Result<Admission, JournalError> {
        Ok(Admission::Admitted)
    }
}

#[async_trait]
impl AsyncJournal for NoJournal {
    async fn write(&self, _entry: &Entry) -> Result<Admission, JournalError> {
        Ok(Admission::Admitted)
    }
}
