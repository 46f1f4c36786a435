//! [`Budget`]: the most that the rows of a scope may cost together. [`admit`] decides whether another
//! submission fits into it, has to wait or is refused, by what the scope has paid and reserved
//! ([`ScopeState`]) and by the price, given or learned from earlier costs.
//! [`MemoryStore`](super::MemoryStore) and `effects-journal` apply it as they write an intent. `JobContext`
//! of `effects-client` (so both clients' jobs and Python), the command and the simulation set budgets.
//!
//! A [`JournalStore`](super::JournalStore) counts all money. Writing the intent of a submission is
//! its reservation: in one transaction the store adds up what the rows of each [`Budget`]'s scope
//! have paid and what is reserved for those without an end, asks [`admit`], and writes the intent
//! only when the answer is [`Admission::Admitted`]. So two runs, two processes or two hosts over
//! one store never spend more than one budget together.

use rust_decimal::Decimal;

use effects_core::journal::{Admission, OverBudget, RowNumber};

/// A scope's number in its store: a set of rows whose costs are counted together.
///
/// [`JournalStore::open_scope`](super::JournalStore::open_scope) makes one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScopeNumber(pub u64);

/// The most that the rows of a scope may cost together. Amounts are in USD.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Budget {
    /// The rows that count.
    pub scope: ScopeNumber,
    /// The most they may cost, over all their tasks and all runs.
    pub limit: Decimal,
    /// The most that one picture costs, where the caller knows it. Otherwise the store learns prices
    /// from the costs it sees.
    pub price: Option<Decimal>,
}

/// A row as a member of a scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeMembership {
    /// The scope.
    pub scope: ScopeNumber,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What the row's tasks cost that the scope counts as paid, in USD: also those that the store has
    /// forgotten since, and that count once where they are taken in again.
    pub counted: Decimal,
}

/// What a store knows of prices at the row's gateway, in USD.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KnownPrices {
    /// The highest cost seen of the row's template and size.
    pub same: Option<Decimal>,
    /// The highest cost seen of any template and size.
    pub any: Option<Decimal>,
}

/// The state of one scope, as a store sees it in the transaction that decides on an intent. The row
/// that asks is left out of everything but `paid`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopeState {
    /// What the scope's rows have paid: all tasks of every row, in USD.
    pub paid: Decimal,
    /// How many costs were seen since the scope was opened.
    pub costs_seen: u64,
    /// The highest of those costs, in USD.
    pub highest_seen: Option<Decimal>,
    /// What is reserved at a known price, in USD.
    pub reserved: Decimal,
    /// How many tasks count at a price that is not known yet: those of rows that submitted before any
    /// cost was seen, and completed ones whose cost could not be read.
    pub unpriced: u64,
    /// How many rows a live process takes to their end, and the first of them.
    pub live: u64,
    /// The first row that a live process takes to its end.
    pub first_live: Option<RowNumber>,
    /// How many rows without an end no process follows: doubtful rows, abandoned tasks.
    pub abandoned: u64,
    /// The first completed row whose cost could not be read.
    pub unreadable: Option<RowNumber>,
}

/// How a row holds a reservation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holding {
    /// A live process takes it to its end.
    Live,
    /// No process does: it is doubtful, or its task is abandoned.
    Abandoned,
}

impl ScopeState {
    /// Adds a row that holds a reservation: for `tasks` tasks, at `price` USD each where that is
    /// known.
    pub fn add(&mut self, row: RowNumber, holding: Holding, tasks: u64, price: Option<Decimal>) {
        self.add_rows(row, holding, 1, tasks, price);
    }

    /// Adds rows that hold their reservations alike: how many, the first of them, and for how many tasks
    /// they hold them together, at `price` USD each where that is known.
    pub fn add_rows(
        &mut self,
        first: RowNumber,
        holding: Holding,
        rows: u64,
        tasks: u64,
        price: Option<Decimal>,
    ) {
        match price {
            Some(price) => {
                let reserved = price.saturating_mul(Decimal::from(tasks));
                self.reserved = self.reserved.saturating_add(reserved);
            }
            None => self.unpriced += tasks,
        }
        match holding {
            Holding::Live => {
                self.live += rows;
                self.first_live.get_or_insert(first);
            }
            Holding::Abandoned => self.abandoned += rows,
        }
    }
}

/// The price at which an intent reserves, in USD; `None` while no cost is known.
///
/// A price that the caller gave counts until a higher cost is seen. Otherwise it is the highest cost
/// seen of the same template and size, or of any where that is not known.
pub fn reservation_price(
    given: Option<Decimal>,
    scope: &ScopeState,
    known: KnownPrices,
) -> Option<Decimal> {
    match given {
        // A price list may be older than the bills.
        Some(given) => Some(scope.highest_seen.map_or(given, |seen| seen.max(given))),
        None => known.same.or(known.any),
    }
}

/// Decides whether an intent fits into a budget. `tasks` is how many tasks its row would then hold
/// a reservation for: one, and one more for each earlier attempt whose outcome is unknown.
///
/// Without a given price, or with one below what was seen of the same template and size, tasks under
/// way grow with the costs seen, to at most twice as many and one: a price that is higher than
/// believed is noticed before it costs much.
///
/// ```
/// use effects_core::journal::Admission;
/// use effects_jobs::{admit, Budget, KnownPrices, ScopeNumber, ScopeState};
///
/// let budget = Budget { scope: ScopeNumber(1), limit: "0.05".parse()?, price: Some("0.03".parse()?) };
/// let mut scope = ScopeState::default();
/// assert_eq!(admit(&budget, &scope, KnownPrices::default(), 1), Admission::Admitted);
/// scope.paid = "0.03".parse()?;
/// let second = admit(&budget, &scope, KnownPrices::default(), 1);
/// assert!(matches!(second, Admission::OverBudget(_)));
/// # Ok::<(), rust_decimal::Error>(())
/// ```
pub fn admit(budget: &Budget, scope: &ScopeState, known: KnownPrices, tasks: u64) -> Admission {
    // It may have cost anything, and there is no price to count it at.
    if let (Some(row), None) = (scope.unreadable, budget.price) {
        return Admission::OverBudget(OverBudget::CostUnreadable { row });
    }
    let Some(price) = reservation_price(budget.price, scope, known) else {
        return admit_first(budget, scope, tasks);
    };
    let reserved = price.saturating_mul(Decimal::from(scope.unpriced));
    let reserved = scope.reserved.saturating_add(reserved);
    // A price can be any number a caller says. What no decimal can hold fits into no budget.
    let needed = price.checked_mul(Decimal::from(tasks));
    let needed = needed.and_then(|price| price.checked_add(reserved)?.checked_add(scope.paid));
    let fits = needed.is_some_and(|needed| needed <= budget.limit);
    // A price that is only learnt may be wrong: each cost that is seen lets two more tasks leave,
    // so that an error shows while it is small.
    let is_believed = budget.price.is_some_and(|given| known.same.is_none_or(|same| given >= same));
    let has_turn = is_believed || scope.live <= 2 * scope.costs_seen;
    match scope.first_live {
        // What is under way may turn out cheaper than what is reserved for it.
        Some(row) if !fits || !has_turn => Admission::Wait { row },
        _ if fits => Admission::Admitted,
        _ => {
            let (limit, paid) = (budget.limit, scope.paid);
            Admission::OverBudget(OverBudget::Exceeded { limit, paid, reserved, price })
        }
    }
}

/// While no cost is known, one task runs alone until its cost is seen.
fn admit_first(budget: &Budget, scope: &ScopeState, tasks: u64) -> Admission {
    // A second one at once could cost as much again, before the first has told what one costs.
    if let Some(row) = scope.first_live {
        return Admission::Wait { row };
    }
    // Earlier attempts of the row itself whose outcome is unknown count too.
    let open = scope.abandoned + tasks.saturating_sub(1);
    if open > 0 {
        return Admission::OverBudget(OverBudget::PriceUnknown { open });
    }
    if scope.paid >= budget.limit {
        let (limit, paid) = (budget.limit, scope.paid);
        let (reserved, price) = (Decimal::ZERO, Decimal::ZERO);
        return Admission::OverBudget(OverBudget::Exceeded { limit, paid, reserved, price });
    }
    Admission::Admitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn budget(limit: &str, price: Option<&str>) -> Budget {
        Budget { scope: ScopeNumber(1), limit: usd(limit), price: price.map(usd) }
    }

    fn known(price: &str) -> KnownPrices {
        KnownPrices { same: Some(usd(price)), any: Some(usd(price)) }
    }

    #[test]
    fn without_a_price_one_row_runs_alone_and_doubt_ends_it() {
        let (limit, mut scope) = (budget("1", None), ScopeState::default());
        let none = KnownPrices::default();
        assert_eq!(admit(&limit, &scope, none, 1), Admission::Admitted);
        scope.add(RowNumber(7), Holding::Live, 1, None);
        assert_eq!(admit(&limit, &scope, none, 1), Admission::Wait { row: RowNumber(7) });
        let mut doubtful = ScopeState::default();
        doubtful.add(RowNumber(8), Holding::Abandoned, 1, None);
        let refused = admit(&limit, &doubtful, none, 1);
        assert_eq!(refused, Admission::OverBudget(OverBudget::PriceUnknown { open: 1 }));
        // A price makes both countable.
        assert_eq!(admit(&budget("1", Some("0.5")), &doubtful, none, 1), Admission::Admitted);
        let refused = admit(&budget("0.9", Some("0.5")), &doubtful, none, 1);
        assert!(matches!(refused, Admission::OverBudget(OverBudget::Exceeded { .. })));
    }

    #[test]
    fn a_cost_that_cannot_be_read_ends_a_budget_without_a_given_price() {
        let unreadable = Some(RowNumber(3));
        let scope = ScopeState { costs_seen: 9, unpriced: 1, unreadable, ..ScopeState::default() };
        let refused = admit(&budget("9", None), &scope, known("0.03"), 1);
        assert_eq!(
            refused,
            Admission::OverBudget(OverBudget::CostUnreadable { row: RowNumber(3) })
        );
        // With a price it counts as one picture.
        // 0.03 for the cost that cannot be read and 0.03 for the new one: 0.06 is just enough.
        let given = |limit| budget(limit, Some("0.03"));
        assert_eq!(admit(&given("0.06"), &scope, known("0.03"), 1), Admission::Admitted);
        let refused = admit(&given("0.05"), &scope, known("0.03"), 1);
        assert!(matches!(refused, Admission::OverBudget(OverBudget::Exceeded { .. })));
    }

    #[test]
    fn tasks_under_way_grow_with_the_costs_seen() {
        let limit = budget("100", None);
        // The limit of 100 USD is out of reach, so the turns alone decide.
        for seen in 0..5 {
            let mut scope = ScopeState { costs_seen: seen, ..ScopeState::default() };
            let mut admitted = 0;
            while admit(&limit, &scope, known("0.03"), 1) == Admission::Admitted {
                admitted += 1;
                scope.add(RowNumber(admitted), Holding::Live, 1, Some(usd("0.03")));
            }
            assert_eq!(admitted, 2 * seen + 1);
        }
    }

    #[test]
    fn below_a_price_that_was_seen_a_given_one_has_to_show_first() {
        let limit = budget("100", Some("0.01"));
        let mut scope = ScopeState::default();
        scope.add(RowNumber(1), Holding::Live, 1, Some(usd("0.01")));
        let wait = Admission::Wait { row: RowNumber(1) };
        assert_eq!(admit(&limit, &scope, known("0.03"), 1), wait);
        assert_eq!(admit(&limit, &scope, known("0.01"), 1), Admission::Admitted);
    }

    #[test]
    fn a_given_price_counts_until_a_higher_cost_is_seen() {
        let mut scope = ScopeState::default();
        assert_eq!(reservation_price(Some(usd("0.03")), &scope, known("9")), Some(usd("0.03")));
        scope.highest_seen = Some(usd("0.10"));
        assert_eq!(reservation_price(Some(usd("0.03")), &scope, known("9")), Some(usd("0.10")));
        let other = KnownPrices { same: None, any: Some(usd("0.10")) };
        assert_eq!(reservation_price(None, &scope, other), Some(usd("0.10")));
    }

    #[test]
    fn a_price_that_no_sum_can_hold_fits_into_no_budget() {
        let most = Decimal::MAX.to_string();
        for limit in ["1", &most] {
            let mut scope = ScopeState { paid: usd("0.03"), unpriced: 3, ..ScopeState::default() };
            scope.add(RowNumber(1), Holding::Abandoned, 9, Some(Decimal::MAX));
            let refused = admit(&budget(limit, Some(&most)), &scope, KnownPrices::default(), 2);
            assert!(matches!(refused, Admission::OverBudget(OverBudget::Exceeded { .. })));
        }
    }

    #[test]
    fn what_is_under_way_may_turn_out_cheaper() {
        let mut scope = ScopeState { paid: usd("0.02"), ..ScopeState::default() };
        scope.add(RowNumber(1), Holding::Live, 1, Some(usd("0.03")));
        let limit = budget("0.07", Some("0.03"));
        assert_eq!(admit(&limit, &scope, known("0.03"), 1), Admission::Wait { row: RowNumber(1) });
    }
}
