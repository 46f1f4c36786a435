//! What is held of a client's money: for one submission, or for many jobs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use effects_core::{
    Admission, AsyncJournal, Effect, Entry, Error, ErrorKind, Fact, JournalError, RowEnd, TaskId,
};
use rust_decimal::Decimal;

use crate::purse::{Purse, cost};

/// What one submission holds. It follows what the journal is told, so that it is settled rightly also
/// where nobody waits any more: given up before anything left, it is given back; after that it is held
/// until the task is known, which holds it from then on.
#[derive(Debug)]
pub struct Reserved {
    purse: Arc<Purse>,
    fate: Mutex<Fate>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// Nothing has left, or what left made no task.
    Here,
    /// A submission may have made a task.
    Left,
    /// The purse knows.
    Over,
}

impl Reserved {
    pub(crate) fn of(purse: &Arc<Purse>) -> Arc<Self> {
        Arc::new(Self { purse: Arc::clone(purse), fate: Mutex::new(Fate::Here) })
    }

    /// The journal of its run: what is written to it passes through here.
    pub fn journal(
        self: &Arc<Self>,
        inner: Option<Arc<dyn AsyncJournal>>,
    ) -> Arc<dyn AsyncJournal> {
        Arc::new(Tap { reserved: Arc::clone(self), inner })
    }

    /// Tells how the run ended.
    pub fn settle(&self, result: &Result<Effect, Error>) {
        let task = match result {
            Ok(effect) => Some(&effect.task_id),
            Err(error) => error.task_id(),
        };
        match (task, result) {
            (Some(task), _) => {
                self.entrust(task);
                self.purse.saw(task, result);
            }
            (None, Err(error)) if error.kind() == ErrorKind::OutcomeUnknown => self.end(Fate::Left),
            // Nothing was made.
            _ => self.end(Fate::Here),
        }
    }

    /// From here on the task holds it.
    fn entrust(&self, task: &TaskId) {
        if std::mem::replace(&mut *self.fate(), Fate::Over) != Fate::Over {
            self.purse.change(|money| {
                money.under_way -= 1;
                money.tasks.insert(task.clone());
            });
        }
    }

    fn end(&self, as_it: Fate) {
        if std::mem::replace(&mut *self.fate(), Fate::Over) != Fate::Over {
            self.purse.change(|money| {
                money.under_way -= 1;
                money.doubtful += u32::from(as_it == Fate::Left);
            });
        }
    }

    fn becomes(&self, fate: Fate) {
        let mut now = self.fate();
        if *now != Fate::Over {
            *now = fate;
        }
    }

    fn fate(&self) -> std::sync::MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody is left who could tell.
impl Drop for Reserved {
    fn drop(&mut self) {
        let fate = *self.fate();
        self.end(fate);
    }
}

/// A journal that a reservation listens to.
struct Tap {
    reserved: Arc<Reserved>,
    inner: Option<Arc<dyn AsyncJournal>>,
}

#[async_trait]
impl AsyncJournal for Tap {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        if let Fact::Created { task_id, .. } = &entry.fact {
            // Known, whether or not the journal can be written.
            self.reserved.entrust(task_id);
        }
        if let Some(inner) = &self.inner {
            let admission = inner.write(entry).await?;
            if admission != Admission::Admitted {
                return Ok(admission);
            }
        }
        match &entry.fact {
            Fact::Intent { .. } => self.reserved.becomes(Fate::Left),
            Fact::Released { .. } => self.reserved.becomes(Fate::Here),
            _ => {}
        }
        Ok(Admission::Admitted)
    }

    fn ended(&self, end: &RowEnd) -> Result<(), JournalError> {
        self.inner.as_ref().map_or(Ok(()), |inner| inner.ended(end))
    }
}

/// What many jobs hold together. Dropped, the rest is given back.
#[derive(Debug)]
pub struct Lent {
    purse: Arc<Purse>,
    amount: Decimal,
    /// What one costs at most by the caller's word: what the service does not say is counted as that.
    price: Option<Decimal>,
}

impl Lent {
    pub(crate) fn of(purse: &Arc<Purse>, amount: Decimal, price: Option<Decimal>) -> Self {
        Self { purse: Arc::clone(purse), amount, price }
    }

    /// What is held.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// What one costs at most, if the caller said it. What was seen of others is not these jobs' price.
    pub fn price(&self) -> Option<Decimal> {
        self.price
    }

    /// A job ended; `submitted`, if it was one to pay for.
    pub fn settle(&mut self, submitted: bool, result: &Result<Effect, Error>) {
        let task = match result {
            Ok(effect) => Some(&effect.task_id),
            Err(error) => error.task_id(),
        };
        if !submitted {
            if let Some(task) = task {
                self.purse.saw(task, result);
            }
            return;
        }
        let unknown = matches!(result, Err(error) if error.kind() == ErrorKind::OutcomeUnknown);
        let unreadable = result.as_ref().is_ok_and(|effect| effect.usage.cost.is_none());
        let (mut amount, is_priced) = (self.amount, self.price.is_some());
        self.purse.change(|money| {
            money.unreadable |= unreadable && !is_priced;
            let price = money.price.unwrap_or_default();
            let part = match (cost(result, money.price), task) {
                (Some(cost), _) => {
                    money.spend(cost);
                    cost
                }
                (None, Some(task)) => {
                    money.tasks.insert(task.clone());
                    price
                }
                (None, None) if unknown => {
                    money.doubtful += 1;
                    price
                }
                // Nothing was made.
                (None, None) => Decimal::ZERO,
            };
            let part = part.min(amount);
            money.lent -= part;
            amount -= part;
        });
        self.amount = amount;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let amount = self.amount;
        self.purse.change(|money| money.lent -= amount);
    }
}
