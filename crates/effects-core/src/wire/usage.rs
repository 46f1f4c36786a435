//! [`Usage`]: what a task cost in USD, exact to the digit, with the discount that the service told, or the
//! text it sent for a cost that cannot be read. `wire/body.rs` reads it into a `Task`; an `Effect` and a
//! `Failed` keep it, a `TaskBill` is made from it, and the command and the Python package report it.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a task cost.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// "Total cost in USD" (the service's page), exact to the digit, from 0 to
    /// [`MAX_COST`](Self::MAX_COST); `None` if it was not said, or cannot be read.
    pub cost: Option<Decimal>,
    /// What the service sent for a cost that cannot be read as one, shortened; `cost` is `None` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_cost: Option<String>,
    /// "Discount amount" (the service's page). Its clients' tests read like a factor with 1 for
    /// none; which it is, is not known.
    pub discount: Option<Decimal>,
}

impl Usage {
    /// The highest cost of one task that is believed, in USD. A picture costs cents: what lies beyond
    /// is a mistake, and no sum of what is believed overflows.
    pub const MAX_COST: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

    /// What is known of a task's usage where only its cost is kept.
    pub fn of_cost(cost: impl Into<Option<Decimal>>) -> Self {
        Self { cost: cost.into(), ..Self::default() }
    }

    /// Reads the cost of one task, in USD: a decimal number, perhaps with an exponent, from 0 to
    /// [`MAX_COST`](Self::MAX_COST). `None` for everything else: a text that is no such cost is
    /// never counted.
    ///
    /// ```
    /// use effects_core::Usage;
    ///
    /// assert_eq!(Usage::read_cost("3e-2"), Usage::read_cost("0.03"));
    /// assert_eq!(Usage::read_cost("-0.03"), None);
    /// assert_eq!(Usage::read_cost("0.03 USD"), None);
    /// assert_eq!(Usage::read_cost("1_0"), None);
    /// ```
    pub fn read_cost(text: &str) -> Option<Decimal> {
        let mut cost = read_decimal(text)?;
        if cost.is_zero() {
            // Zero has a sign, too.
            cost.set_sign_positive(true);
        }
        (Decimal::ZERO..=Self::MAX_COST).contains(&cost).then_some(cost)
    }
}

/// A number as JSON or a text writes it, exact to the digit.
pub(crate) fn read_decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (base, exponent) = text.split_once(['e', 'E']).unzip();
    let base = base.unwrap_or(text);
    // The decimal type reads `1_0` as 10, which nothing says it means.
    if base.contains('_') {
        return None;
    }
    // `from_str_exact` refuses digits that a decimal cannot hold, where `from_str` would round a
    // sum of money; `from_scientific` reads its base with `from_str`.
    let exact = Decimal::from_str_exact(base).ok()?;
    let Some(exponent) = exponent else { return Some(exact) };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    Decimal::from_scientific(text).ok().filter(|_| is_number)
}
