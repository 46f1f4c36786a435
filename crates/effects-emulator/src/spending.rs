//! [`Spending`]: the money of one emulator, in USD: what its pictures have cost, and what is reserved for
//! tasks that are not finished. `lifecycle.rs` and `settle.rs` book each [`Movement`] of it (a create whose
//! reservation goes beyond the fault plan's balance is refused), and `state.rs` reserves again for the
//! tasks that a restart interrupted. The control API and `Emulator::spent` tell what was spent,
//! `surfaces/account.rs` what is left of the balance.

use std::sync::{Mutex, PoisonError};

use rust_decimal::Decimal;

/// The money of one emulator, in USD.
#[derive(Debug)]
pub(crate) struct Spending {
    sums: Mutex<Sums>,
    /// What a picture costs.
    price: Decimal,
}

#[derive(Debug, Default)]
struct Sums {
    spent: Decimal,
    reserved: Decimal,
}

/// What becomes of the price of one task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Movement {
    /// It is reserved, if it does not go beyond a balance.
    Reserve(Option<Decimal>),
    /// What was reserved is free again: the task has no picture.
    Release,
    /// What was reserved is paid.
    Pay,
    /// What was paid is paid back: its picture was never seen.
    Refund,
}

impl Spending {
    pub(crate) fn new(spent: Decimal, price: Decimal) -> Self {
        Self { sums: Mutex::new(Sums { spent, reserved: Decimal::ZERO }), price }
    }

    /// Writes a movement down: the only place where money is written. It gives what was paid, below
    /// zero if it was paid back, for the store; `None` where a balance does not reach.
    pub(crate) fn book(&self, movement: Movement) -> Option<Decimal> {
        self.with(|sums| {
            let price = self.price;
            let (reserved, paid) = match movement {
                Movement::Reserve(Some(balance))
                    // What is reserved counts as spent, since each of those tasks may yet get its
                    // picture. Compared and reserved under one lock, so that two creates at once do
                    // not both take the last of a balance.
                    if sums.spent + sums.reserved + price > balance =>
                {
                    return None;
                }
                Movement::Reserve(_) => (price, Decimal::ZERO),
                Movement::Release => (-price, Decimal::ZERO),
                Movement::Pay => (-price, price),
                Movement::Refund => (Decimal::ZERO, -price),
            };
            // A task from before a reset may give back more than there is after it.
            sums.reserved = (sums.reserved + reserved).max(Decimal::ZERO);
            sums.spent = (sums.spent + paid).max(Decimal::ZERO);
            Some(paid)
        })
    }

    pub(crate) fn spent(&self) -> Decimal {
        self.with(|sums| sums.spent)
    }

    /// Forgets all of it.
    pub(crate) fn clear(&self) {
        self.with(|sums| *sums = Sums::default());
    }

    fn with<R>(&self, work: impl FnOnce(&mut Sums) -> R) -> R {
        work(&mut self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_reserved_then_paid_or_released_and_perhaps_paid_back() {
        // A balance that is enough for one picture and not for two.
        let (price, balance) = (Decimal::new(3, 2), Decimal::new(5, 2));
        let spending = Spending::new(Decimal::ZERO, price);
        let reserve = || spending.book(Movement::Reserve(Some(balance)));
        assert_eq!(reserve(), Some(Decimal::ZERO));
        assert_eq!(reserve(), None);
        assert_eq!(spending.book(Movement::Release), Some(Decimal::ZERO));
        assert_eq!(reserve(), Some(Decimal::ZERO));
        assert_eq!(spending.book(Movement::Pay), Some(price));
        assert_eq!((spending.spent(), reserve()), (price, None));
        assert_eq!(spending.book(Movement::Refund), Some(-price));
        assert_eq!(spending.spent(), Decimal::ZERO);
        assert_eq!(spending.book(Movement::Reserve(None)), Some(Decimal::ZERO));
        spending.clear();
        assert_eq!(spending.book(Movement::Refund), Some(-price));
        assert_eq!(spending.spent(), Decimal::ZERO);
    }
}
