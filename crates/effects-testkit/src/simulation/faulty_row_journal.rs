//! [`FaultyRowJournal`]: the journal of one simulated job. It passes entries and the row's end on to the
//! store's row, at the store's time, but makes the mistake that a [`Mutation`] asks for: it skips an entry,
//! writes a submission that its budget does not admit, or books a wrong end or cost. `SimulatedWorld` wraps
//! in it each row that a process opens.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use effects_core::Time;
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, Journal, JournalError, RowOutcome,
};
use effects_jobs::{Budget, RowJournal, SavedContent};
use rust_decimal::Decimal;

use super::Mutation;

/// A row in the hands of a simulated job.
#[derive(Debug)]
pub(super) struct FaultyRowJournal {
    /// `None` once its owner passes for gone, or for a row that was never its own.
    inner: Mutex<Option<Arc<dyn RowJournal>>>,
    mutation: Option<Mutation>,
    /// How far the clock of its process is ahead of the store's, in milliseconds.
    ahead: i64,
}

impl FaultyRowJournal {
    pub(super) fn new(
        inner: Arc<dyn RowJournal>,
        mutation: Option<Mutation>,
        ahead: i64,
    ) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Some(inner)), mutation, ahead })
    }

    /// A row that another process has in hand: nothing of it is recorded.
    pub(super) fn unrecorded() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), mutation: None, ahead: 0 })
    }

    /// Ends its lease, as another process does that takes its owner for gone.
    pub(super) fn release(&self) {
        if let Some(inner) = self.inner() {
            // Memory takes it.
            let _ = inner.settle(&RowOutcome::Abandoned);
        }
    }

    fn inner(&self) -> Option<Arc<dyn RowJournal>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unbudgeted(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let Some(inner) = self.inner() else { return Ok(Admission::Admitted) };
        // Written once more without its budgets: the store then admits what it has just refused.
        inner.charge_to(&[]);
        Journal::write(&*inner, entry)
    }
}

impl Journal for FaultyRowJournal {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        // A row of another process: nothing is written, and the run goes on as if it were.
        let Some(inner) = self.inner() else { return Ok(Admission::Admitted) };
        // All times of the store are by its own clock.
        let at = entry.at.as_millis().saturating_add_signed(-self.ahead);
        let entry = &Entry { at: Time::from_millis(at), ..entry.clone() };
        match (self.mutation, &entry.fact) {
            (Some(Mutation::SkipIntent), Fact::Intent { .. })
            | (Some(Mutation::SkipCreated), Fact::Created { .. }) => Ok(Admission::Admitted),
            (Some(Mutation::IgnoreWait), Fact::Intent { .. }) => {
                match Journal::write(&*inner, entry)? {
                    Admission::Wait { .. } => self.unbudgeted(entry),
                    answer => Ok(answer),
                }
            }
            (Some(Mutation::IgnoreOverBudget), Fact::Intent { .. }) => {
                match Journal::write(&*inner, entry)? {
                    Admission::OverBudget(_) => self.unbudgeted(entry),
                    answer => Ok(answer),
                }
            }
            _ => Journal::write(&*inner, entry),
        }
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.settle(end)
    }
}

#[async_trait]
impl AsyncJournal for FaultyRowJournal {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        Journal::write(self, entry)
    }
}

impl RowJournal for FaultyRowJournal {
    fn charge_to(&self, budgets: &[Budget]) {
        if let Some(inner) = self.inner() {
            inner.charge_to(budgets);
        }
    }

    fn settle(&self, end: &RowOutcome) -> Result<(), JournalError> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let mut end = end.clone();
        match (self.mutation, &mut end) {
            (Some(Mutation::ReleaseDoubtful), RowOutcome::Unknown { .. }) => {
                let fact = Fact::Released { reason: "nothing was made".to_owned() };
                // Only a run numbers entries, so this one is read from JSON.
                let released: Entry = serde_json::from_value(serde_json::json!({
                    "id": 0, "at": 0, "fact": fact
                }))
                .expect("an entry");
                Journal::write(&*inner, &released)?;
                end = RowOutcome::Abandoned;
            }
            (Some(Mutation::ForgetCost), RowOutcome::Completed { cost, .. }) => {
                *cost = Some(Decimal::ZERO);
            }
            // The sum of both bookings.
            (Some(Mutation::SettleTwice), RowOutcome::Completed { cost: Some(cost), .. }) => {
                *cost += *cost;
            }
            (Some(Mutation::DropRenewedBill), RowOutcome::Failed { cost, .. }) => *cost = None,
            _ => {}
        }
        inner.settle(&end)
    }

    fn picture_saved(
        &self,
        index: usize,
        path: &Path,
        content: Option<SavedContent>,
    ) -> Result<(), JournalError> {
        self.inner().map_or(Ok(()), |inner| inner.picture_saved(index, path, content))
    }

    fn is_taken(&self) -> bool {
        self.inner().is_some_and(|inner| inner.is_taken())
    }
}
