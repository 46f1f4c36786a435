//! [`Reservation`]: the money of a client's `SharedBudget` that one submission holds. It wraps the run's
//! journal and so sees each attempt: one that may have made a task holds a price; what was never sent is
//! given back, what is in doubt stays reserved, and a task keeps it until its cost is known.
//! `SingleSubmission` makes one. [`Allotment`] is the sum that all jobs of a `Many` hold together (`Engine`
//! and `Many` make it); [`JobAttempts`], made by `RowSource`, counts the attempts of one of them. [`PriceSeek`],
//! of an `Allotment`, says how far its jobs are on the way to showing a price; `RowSource` tells it that one
//! begins.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use effects_core::journal::{
    Admission, AsyncJournal, Entry, Fact, JournalError, OverBudget, RowOutcome,
};
use effects_core::run::Refused;
use effects_core::wire::ExchangeError;
use effects_core::{Cause, Effect, Error, ErrorKind, TaskId};
use effects_reqwest::Client;
use rust_decimal::Decimal;

use crate::journal::TaskRows;
use crate::shared_budget::{SharedBudget, cost};

/// The attempts of one submission that may have made a task each, and the tasks that it is known to have
/// made: what the entries of its journal say.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Those of unknown outcome, by their `X-Request-Id`.
    open: BTreeSet<String>,
    tasks: BTreeSet<TaskId>,
}

impl Attempts {
    /// Takes note of an entry that the journal has.
    fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Intent { request_id, .. } => drop(self.open.insert(request_id.clone())),
            Fact::Created { task_id, request_id } => {
                self.add_task(task_id, request_id.as_deref());
            }
            // A run writes this only where none of its attempts made a task.
            Fact::Released { .. } => self.open.clear(),
        }
    }

    /// Notes a task, and returns whether it is new. A new task settles one attempt: the one that made it,
    /// where that is known, else any of them, since all hold the same.
    fn add_task(&mut self, task: &TaskId, request_id: Option<&str>) -> bool {
        let is_new = self.tasks.insert(task.clone());
        if is_new && !request_id.is_some_and(|id| self.open.remove(id)) {
            self.open.pop_last();
        }
        is_new
    }
}

/// What one submission holds of a client's budget: one picture's price for each attempt that may have
/// made a task. It follows the entries of the run's journal, so that it is settled also after the
/// caller has left. Dropped before an attempt leaves, it refunds; after that each attempt counts as
/// possibly spent until its task is known, and then the task owns the reservation.
#[derive(Debug)]
pub struct Reservation {
    shared_budget: Arc<SharedBudget>,
    held: Mutex<ReservationState>,
}

#[derive(Debug)]
struct ReservationState {
    attempts: Attempts,
    /// How many attempts of this submission the budget counts as under way; none once it is over, when
    /// those in `attempts` are counted as doubtful.
    under_way: u32,
}

impl Reservation {
    /// Reserves for one submission, once there is room.
    ///
    /// # Errors
    ///
    /// What [`SharedBudget::reserve`] has against it.
    pub(crate) async fn of(
        shared_budget: &Arc<SharedBudget>,
        client: &Client,
        rows: Option<&TaskRows>,
    ) -> Result<Arc<Self>, Error> {
        shared_budget.reserve(client, rows).await?;
        // `reserve` has counted the first attempt.
        let held = ReservationState { attempts: Attempts::default(), under_way: 1 };
        Ok(Arc::new(Self { shared_budget: Arc::clone(shared_budget), held: Mutex::new(held) }))
    }

    /// The journal of its run: what is written to it passes through here.
    pub fn journal(
        self: &Arc<Self>,
        inner: Option<Arc<dyn AsyncJournal>>,
    ) -> Arc<dyn AsyncJournal> {
        Arc::new(ReservingJournal { reservation: Arc::clone(self), inner })
    }

    /// The run ended like this: its money is settled.
    pub fn settle(&self, result: &Result<Effect, Error>) {
        match (task_of(result), result) {
            (Some(task), _) => {
                // First: `settle_task` settles only a task that the budget knows as its own.
                self.assign_to_task(task, None);
                self.shared_budget.settle_task(task, result);
            }
            (None, result) => self.release(is_unknown(result)),
        }
    }

    /// Reserves for the attempt of this intent, unless what is held reaches for it.
    fn admit(&self, request_id: &str) -> Result<(), OverBudget> {
        let mut held = self.held();
        let open = &held.attempts.open;
        // An intent that is written again under its `X-Request-Id` is the same attempt. The first
        // attempt has what `of` reserved; each further one needs its own.
        let attempts = open.len() + usize::from(!open.contains(request_id));
        if attempts > held.under_way as usize {
            self.shared_budget.reserve_repeat()?;
            held.under_way += 1;
        }
        Ok(())
    }

    /// From here on the task holds what the attempt did that made it; the other attempts are in doubt.
    fn assign_to_task(&self, task: &TaskId, request_id: Option<&str>) {
        let mut held = self.held();
        let before = held.attempts.open.len();
        if held.attempts.add_task(task, request_id) {
            // From here on nothing of this run counts as under way. After `release`, its attempts count
            // as doubtful already, and the task takes one of them over.
            let found = before - held.attempts.open.len();
            let was_over = held.under_way == 0;
            let leaving = std::mem::take(&mut held.under_way);
            let doubtful = count(held.attempts.open.len());
            self.shared_budget.change(|money| {
                money.under_way -= leaving;
                if was_over {
                    money.doubtful -= count(found);
                } else {
                    money.doubtful += doubtful;
                }
                money.tasks.insert(task.clone());
            });
        }
    }

    /// Without a task: what is in doubt stays reserved, and the rest is given back.
    fn release(&self, is_unknown: bool) {
        let mut held = self.held();
        if held.under_way > 0 {
            let leaving = std::mem::take(&mut held.under_way);
            // At least one where the error says that a task may exist, whatever was noted.
            let doubtful = count(held.attempts.open.len()).max(u32::from(is_unknown));
            self.shared_budget.change(|money| {
                money.under_way -= leaving;
                money.doubtful += doubtful;
            });
        }
    }

    fn held(&self) -> MutexGuard<'_, ReservationState> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run is gone, so that no end of it will come.
impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(false);
    }
}

fn count(attempts: usize) -> u32 {
    u32::try_from(attempts).unwrap_or(u32::MAX)
}

fn task_of(result: &Result<Effect, Error>) -> Option<&TaskId> {
    match result {
        Ok(effect) => Some(&effect.task_id),
        Err(error) => error.task_id(),
    }
}

fn is_unknown(result: &Result<Effect, Error>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::OutcomeUnknown)
}

/// The journal of a run that reserves for each intent, and passes each entry on.
struct ReservingJournal {
    reservation: Arc<Reservation>,
    inner: Option<Arc<dyn AsyncJournal>>,
}

#[async_trait]
impl AsyncJournal for ReservingJournal {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        match &entry.fact {
            Fact::Intent { request_id, .. } => {
                // Before the journal has it: what does not fit into the budget is not recorded as
                // sent.
                if let Err(why) = self.reservation.admit(request_id) {
                    return Ok(Admission::OverBudget(why));
                }
            }
            // Known, whether or not the journal can be written.
            Fact::Created { task_id, request_id } => {
                self.reservation.assign_to_task(task_id, request_id.as_deref());
            }
            _ => {}
        }
        if let Some(inner) = &self.inner {
            // An intent that has to wait keeps its reservation: it is not noted below, so that
            // `admit` does not count it again on the next try.
            let admission = inner.write(entry).await?;
            if admission != Admission::Admitted {
                return Ok(admission);
            }
        }
        self.reservation.held().attempts.note(&entry.fact);
        Ok(Admission::Admitted)
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.ended(end))
    }
}

/// The attempts of one of many jobs, which an [`Allotment`] keeps a reservation for once the job has ended.
#[derive(Debug, Default)]
pub struct JobAttempts(Mutex<Attempts>);

impl JobAttempts {
    /// The journal of the job's run: what is written to it passes through here.
    pub fn journal(
        self: &Arc<Self>,
        inner: Option<Arc<dyn AsyncJournal>>,
    ) -> Arc<dyn AsyncJournal> {
        Arc::new(AttemptsJournal { attempts: Arc::clone(self), inner })
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal of a run that notes the attempts, and passes each entry on.
struct AttemptsJournal {
    attempts: Arc<JobAttempts>,
    inner: Option<Arc<dyn AsyncJournal>>,
}

#[async_trait]
impl AsyncJournal for AttemptsJournal {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let written = match &self.inner {
            Some(inner) => inner.write(entry).await,
            None => Ok(Admission::Admitted),
        };
        // A task is known, whether or not the journal can be written.
        if matches!(written, Ok(Admission::Admitted)) || matches!(entry.fact, Fact::Created { .. })
        {
            self.attempts.attempts().note(&entry.fact);
        }
        written
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.ended(end))
    }
}

/// What many jobs hold together. Dropped, the rest is given back.
#[derive(Debug)]
pub struct Allotment {
    shared_budget: Arc<SharedBudget>,
    /// What was to be set aside, where the call says it.
    wanted: Option<Decimal>,
    amount: Decimal,
    /// What one costs at most by the caller's word: what the service does not say is counted as that.
    price: Option<Decimal>,
    seek: Arc<PriceSeek>,
}

/// How far the jobs of an allotment without a price are on the way to showing one.
#[derive(Debug)]
pub struct PriceSeek {
    shared_budget: Arc<SharedBudget>,
    stage: Mutex<SeekStage>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SeekStage {
    /// No job has come yet. Single calls do not wait for one: what gives the jobs may make such calls itself.
    Waiting,
    /// A job has begun.
    Begun,
    /// There is a price, or no job is about to show one.
    Over,
}

impl PriceSeek {
    fn new(shared_budget: &Arc<SharedBudget>, seeks: bool) -> Arc<Self> {
        let stage = if seeks { SeekStage::Waiting } else { SeekStage::Over };
        Arc::new(Self { shared_budget: Arc::clone(shared_budget), stage: Mutex::new(stage) })
    }

    /// A job has come.
    pub fn begin(&self) {
        let mut stage = self.stage();
        if *stage == SeekStage::Waiting {
            *stage = SeekStage::Begun;
            self.shared_budget.change(|money| money.begun_seeking += 1);
        }
    }

    fn end(&self) {
        let before = std::mem::replace(&mut *self.stage(), SeekStage::Over);
        if before != SeekStage::Over {
            self.shared_budget.change(|money| {
                money.seeking -= 1;
                money.begun_seeking -= u32::from(before == SeekStage::Begun);
            });
        }
    }

    fn stage(&self) -> MutexGuard<'_, SeekStage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allotment {
    /// Sets what is left aside, `most` of it: see [`SharedBudget::allot`].
    ///
    /// # Errors
    ///
    /// What [`SharedBudget::allot`] has against it.
    pub(crate) fn of(
        shared_budget: &Arc<SharedBudget>,
        most: Option<Decimal>,
        price: Option<Decimal>,
        known: Option<Decimal>,
    ) -> Result<Option<Self>, Error> {
        let allotted = shared_budget.allot(most, price, known)?;
        Ok(allotted.map(|(amount, price, seeks)| Self {
            shared_budget: Arc::clone(shared_budget),
            wanted: most,
            amount,
            price,
            seek: PriceSeek::new(shared_budget, seeks),
        }))
    }

    /// What is held.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// What one costs at most, if the caller said it. What was seen of others is not these jobs' price.
    pub fn price(&self) -> Option<Decimal> {
        self.price
    }

    /// What is told that the jobs begin.
    pub fn seek(&self) -> &Arc<PriceSeek> {
        &self.seek
    }

    /// None of its jobs is about to show a price: other submissions do not wait for one.
    pub fn seek_no_more(&self) {
        self.seek.end();
    }

    /// The error of a job; where other calls left less than was wanted, and too little for it, it says what
    /// they hold.
    pub fn explain(&self, error: Error) -> Error {
        let Cause::Refused(refused) = error.cause() else { return error };
        let Some(OverBudget::Exceeded { limit, price, .. }) = &refused.over_budget else {
            return error;
        };
        let held = self.shared_budget.set_aside(self.amount);
        let Some(held) = held.filter(|_| self.wanted != Some(*limit)) else { return error };
        let reason = format!(
            "{limit} USD of the client's budget were left for these jobs, and a picture costs {price} \
             USD; {held}"
        );
        Cause::Refused(Refused { error: ExchangeError::NotSent { reason }, ..refused.clone() })
            .into()
    }

    /// A job ended; `attempts`, if it was one to pay for. Its attempts of unknown outcome and its other
    /// tasks keep what they hold.
    pub fn settle(&mut self, attempts: Option<&JobAttempts>, result: &Result<Effect, Error>) {
        let task = task_of(result);
        let Some(attempts) = attempts else {
            // This call paid for nothing here. If the task is one of the client's own, its
            // reservation is settled.
            if let Some(task) = task {
                self.shared_budget.settle_task(task, result);
            }
            return;
        };
        let mut attempts = attempts.attempts();
        if let Some(task) = task {
            attempts.add_task(task, None);
        }
        let doubtful =
            count(attempts.open.len()).max(u32::from(task.is_none() && is_unknown(result)));
        let unreadable = result.as_ref().is_ok_and(|effect| effect.usage.cost.is_none());
        let (mut amount, is_priced) = (self.amount, self.price.is_some());
        self.shared_budget.change(|money| {
            money.unreadable |= unreadable && !is_priced;
            let cost = cost(result, money.price);
            // Its own task holds nothing once its cost is known.
            let held = attempts.tasks.iter().filter(|held| cost.is_none() || task != Some(*held));
            let held: Vec<TaskId> = held.cloned().collect();
            let open = Decimal::from(doubtful) + Decimal::from(held.len());
            money.doubtful += doubtful;
            money.tasks.extend(held);
            if let Some(cost) = cost {
                money.spend(cost);
            }
            // What stays in doubt moves from this allotment to the client's own reservations. At
            // most what is left of it moves: `allotted` is the sum over several calls.
            let part = open.saturating_mul(money.price.unwrap_or_default());
            let part = part.saturating_add(cost.unwrap_or_default()).min(amount);
            money.allotted -= part;
            amount -= part;
        });
        self.amount = amount;
    }
}

impl Drop for Allotment {
    fn drop(&mut self) {
        self.seek.end();
        let amount = self.amount;
        self.shared_budget.change(|money| {
            money.allotted -= amount;
            // Once for all jobs, at their end, and not for each of them.
            money.check_limit();
        });
    }
}
