//! What a driver needs from the world: exchanges, time, a place to write to.
//!
//! Another HTTP stack is one small `impl` of [`Transport`] or [`AsyncTransport`].

use async_trait::async_trait;

use crate::gateway::call::{Call, CallResult};
use crate::journal::{Admission, JournalError, RowEnd};
use crate::run::entry::Entry;
use crate::time::Time;

/// Makes exchanges, blocking the thread.
///
/// An implementation owns an [`Endpoint`](crate::Endpoint), which turns the call into an
/// authorised request, and the [`Answer`](crate::Answer) into the result. It keeps to the call's
/// `timeout`, follows no redirect, repeats nothing, and says truthfully whether the request can have
/// left: in doubt, it has.
pub trait Transport {
    /// Makes one exchange.
    fn send(&self, call: &Call) -> CallResult;
}

/// Makes exchanges, without blocking; otherwise like [`Transport`].
#[async_trait]
pub trait AsyncTransport: Send + Sync {
    /// Makes one exchange.
    async fn send(&self, call: &Call) -> CallResult;
}

/// Tells the time and waits, blocking the thread.
pub trait Clock {
    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    fn sleep_until(&self, until: Time);
}

/// Tells the time and waits, without blocking.
#[async_trait]
pub trait AsyncClock: Send + Sync {
    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    async fn sleep_until(&self, until: Time);
}

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
    fn ended(&self, _end: &RowEnd) -> Result<(), JournalError> {
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
    fn ended(&self, _end: &RowEnd) -> Result<(), JournalError> {
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
