//! What a client may spend in its life: reserved before each submission, settled with the real cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::{Cause, Effect, Error, ErrorKind};
use rust_decimal::Decimal;
use tokio::sync::Notify;

/// The money of one client, in USD.
#[derive(Debug)]
pub struct Purse {
    limit: Decimal,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    spent: Decimal,
    reserved: Decimal,
    /// The highest cost seen: what the next one is taken to cost.
    price: Option<Decimal>,
    /// Submissions under way without a price to reserve.
    unpriced: u32,
}

impl Purse {
    pub fn of(limit: Decimal) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), changed: Notify::new() })
    }

    /// Reserves for one submission. While no price is known, one runs until its cost is seen.
    pub async fn reserve(self: Arc<Self>) -> Result<Reserved, Error> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                let left = self.limit - state.spent - state.reserved;
                match state.price {
                    Some(price) if price <= left => {
                        state.reserved += price;
                        drop(state);
                        return Ok(Reserved {
                            purse: Arc::clone(&self),
                            amount: price,
                            unpriced: false,
                        });
                    }
                    Some(price) => return Err(self.exceeded(left, Some(price))),
                    None if left <= Decimal::ZERO => return Err(self.exceeded(left, None)),
                    None if state.unpriced == 0 => {
                        state.unpriced += 1;
                        drop(state);
                        let amount = Decimal::ZERO;
                        return Ok(Reserved { purse: Arc::clone(&self), amount, unpriced: true });
                    }
                    None => {}
                }
            }
            changed.await;
        }
    }

    /// Reserves all that is left, for many.
    pub fn reserve_all(self: &Arc<Self>) -> (Decimal, Option<Decimal>, Reserved) {
        let mut state = self.state();
        let left = (self.limit - state.spent - state.reserved).max(Decimal::ZERO);
        state.reserved += left;
        let price = state.price;
        drop(state);
        (left, price, Reserved { purse: Arc::clone(self), amount: left, unpriced: false })
    }

    fn exceeded(&self, left: Decimal, price: Option<Decimal>) -> Error {
        let price = price.map(|price| format!(" and a picture costs {price}")).unwrap_or_default();
        let message = format!(
            "the client's budget of {} USD would be exceeded: {left} USD are left{price}; nothing \
             was sent",
            self.limit
        );
        Error::new(ErrorKind::BudgetExceeded, message)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a submission holds of a purse. Dropped without a word, it is held for good: its task may
/// exist.
#[derive(Debug)]
pub struct Reserved {
    purse: Arc<Purse>,
    amount: Decimal,
    unpriced: bool,
}

impl Reserved {
    /// Tells how the run ended.
    pub fn settle(&mut self, result: &Result<Effect, Error>) {
        let cost = match result {
            Ok(effect) => Some(effect.usage.cost.unwrap_or(self.amount)),
            Err(error) => match error.cause() {
                Cause::Failed(failed) => {
                    Some(failed.usage.as_ref().and_then(|usage| usage.cost).unwrap_or_default())
                }
                // Nothing was made.
                _ if error.task_id().is_none() && error.kind() != ErrorKind::OutcomeUnknown => {
                    Some(Decimal::ZERO)
                }
                _ => None,
            },
        };
        if let Some(cost) = cost {
            self.spend(cost);
        }
    }

    /// Spends from what is held, and gives the rest back when dropped or settled.
    pub fn spend(&mut self, cost: Decimal) {
        let mut state = self.purse.state();
        state.spent += cost;
        state.reserved -= std::mem::take(&mut self.amount);
        if cost > state.price.unwrap_or_default() {
            state.price = Some(cost);
        }
    }

    /// Spends a part of what is held for many.
    pub fn spend_part(&mut self, cost: Decimal) {
        let mut state = self.purse.state();
        state.spent += cost;
        let part = cost.min(self.amount);
        state.reserved -= part;
        self.amount -= part;
        if cost > state.price.unwrap_or_default() {
            state.price = Some(cost);
        }
    }

    /// What one is taken to cost.
    pub fn price(&self) -> Option<Decimal> {
        self.purse.state().price
    }

    /// Gives back what is still held, but for so much.
    pub fn release_but(&mut self, held: Decimal) {
        let back = (self.amount - held).max(Decimal::ZERO);
        self.purse.state().reserved -= back;
        self.amount -= back;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.unpriced {
            self.purse.state().unpriced -= 1;
        }
        self.purse.changed.notify_waiters();
    }
}
