//! Money a batch may spend: reserved before each submission, settled with the real cost.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What a batch may spend and has spent, in USD. Decimal throughout; nothing here is ever a float.
///
/// Before a submission leaves, its estimate is reserved: the known price, or the highest cost seen.
/// While no cost is known one task runs alone until its cost is seen.
///
/// ```
/// use effects_core::Budget;
///
/// let budget = Budget::limited("5.00".parse()?).with_price("0.03".parse()?);
/// assert_eq!(budget.left(), Some("5.00".parse()?));
/// # Ok::<(), rust_decimal::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Budget {
    limit: Option<Decimal>,
    price: Option<Decimal>,
    spent: Decimal,
    /// Reserved by submissions whose cost is still to come.
    reserved: Decimal,
    /// Reserved by submissions whose cost may never be known.
    held: Decimal,
    /// Submissions under way without a price to reserve.
    unpriced: u32,
}

/// Whether a submission may leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// Yes, with this much reserved.
    Granted(Reservation),
    /// Not before something under way has told its cost.
    NotYet,
    /// No: it would exceed the limit by this much.
    Refused(Decimal),
}

/// What a submission under way holds of the budget.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Reservation {
    amount: Decimal,
    unpriced: bool,
}

impl Budget {
    /// No limit: costs are only added up.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// At most this much, in USD.
    pub fn limited(limit: Decimal) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// What one picture costs at most, in USD, as far as is known from elsewhere.
    #[must_use]
    pub fn with_price(self, price: Decimal) -> Self {
        Self { price: Some(price), ..self }
    }

    /// The highest cost of one picture known, in USD.
    pub fn price(&self) -> Option<Decimal> {
        self.price
    }

    /// What completed tasks cost, in USD.
    pub fn spent(&self) -> Decimal {
        self.spent
    }

    /// What is not spent, but may be: tasks under way, and submissions of unknown fate, in USD.
    pub fn committed(&self) -> Decimal {
        self.reserved + self.held
    }

    /// What may still be reserved, in USD; `None` without a limit.
    pub fn left(&self) -> Option<Decimal> {
        self.limit.map(|limit| limit - self.spent - self.committed())
    }

    /// The limit, in USD.
    pub fn limit(&self) -> Option<Decimal> {
        self.limit
    }

    pub(super) fn admit(&mut self) -> Admission {
        let Some(left) = self.left() else {
            return self.reserve(self.price.unwrap_or_default(), false);
        };
        let Some(price) = self.price else {
            // One task finds out what a task costs.
            return match (self.unpriced, left > Decimal::ZERO) {
                (0, true) => self.reserve(Decimal::ZERO, true),
                (0, false) => Admission::Refused(-left),
                _ => Admission::NotYet,
            };
        };
        if price <= left {
            return self.reserve(price, false);
        }
        // What is under way may turn out cheaper than what was reserved for it.
        if self.reserved > Decimal::ZERO {
            Admission::NotYet
        } else {
            Admission::Refused(price - left)
        }
    }

    fn reserve(&mut self, amount: Decimal, unpriced: bool) -> Admission {
        self.reserved += amount;
        self.unpriced += u32::from(unpriced);
        Admission::Granted(Reservation { amount, unpriced })
    }

    /// The run that holds this reservation is over.
    pub(super) fn settle(&mut self, reservation: Reservation, outcome: &Outcome) {
        match outcome {
            Outcome::Completed(effect) => {
                // What was not billed openly is taken to have cost what was expected.
                self.spend(effect.usage.cost.unwrap_or(reservation.amount));
            }
            // A failed task's bill is documented nowhere; where none came, none is assumed.
            Outcome::Failed(failed) => {
                self.spend(failed.usage.as_ref().and_then(|usage| usage.cost).unwrap_or_default());
            }
            Outcome::Refused(_) => {}
            Outcome::Detached(detached) if detached.task_id.is_none() => {}
            _ => return self.hold(reservation),
        }
        self.release(reservation);
    }

    /// The run that holds this reservation is over, and what it cost will not be known.
    pub(super) fn hold(&mut self, reservation: Reservation) {
        self.release(reservation);
        self.held += reservation.amount.max(self.price.unwrap_or_default());
    }

    fn release(&mut self, reservation: Reservation) {
        self.reserved -= reservation.amount;
        self.unpriced -= u32::from(reservation.unpriced);
    }

    fn spend(&mut self, cost: Decimal) {
        self.spent += cost;
        if cost > Decimal::ZERO {
            self.price = Some(self.price.map_or(cost, |price| price.max(cost)));
        }
    }
}
