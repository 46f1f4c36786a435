//! Money a batch may spend: reserved before each submission, settled with the real cost.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What a batch may spend and has spent, in USD. Decimal throughout; nothing here is ever a float.
///
/// Before a submission leaves, its price is reserved: the known one, or the highest cost seen, which
/// then counts for all that is reserved. While no cost is known one task runs alone until its cost
/// is seen; where that cannot be, since the fate of its submission is unknown, nothing more is spent.
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
    /// Submissions whose cost is still to come.
    under_way: u32,
    /// Submissions whose cost may never be known.
    doubtful: u32,
}

/// Whether a submission may leave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// Yes, and its price is reserved.
    Granted,
    /// Not before something under way has told its cost.
    NotYet,
    /// No, for this reason.
    Refused(String),
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

    /// What was spent before and counts against the limit, in USD.
    #[must_use]
    pub fn with_spent(self, spent: Decimal) -> Self {
        Self { spent, ..self }
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
        let reserved = Decimal::from(self.under_way) + Decimal::from(self.doubtful);
        self.price.unwrap_or_default() * reserved
    }

    /// What may still be reserved, in USD; `None` without a limit.
    pub fn left(&self) -> Option<Decimal> {
        self.limit.map(|limit| limit - self.spent - self.committed())
    }

    /// The limit, in USD.
    pub fn limit(&self) -> Option<Decimal> {
        self.limit
    }

    /// Reserves the price of one more submission, if it fits.
    pub(super) fn admit(&mut self) -> Admission {
        if let Some(left) = self.left() {
            let fits = match self.price {
                Some(price) => price <= left,
                // One task finds out what a task costs.
                None => self.under_way + self.doubtful == 0 && left > Decimal::ZERO,
            };
            // What is under way may turn out cheaper than what was reserved for it.
            match (fits, self.under_way) {
                (true, _) => {}
                (false, 0) => return Admission::Refused(self.refusal(left)),
                (false, _) => return Admission::NotYet,
            }
        }
        self.under_way += 1;
        Admission::Granted
    }

    fn refusal(&self, left: Decimal) -> String {
        match self.price {
            None if self.doubtful > 0 => "what a picture costs is not known, and a submission of \
                 unknown fate may have used the budget up: say what one costs at most"
                .to_owned(),
            price => {
                let missing = price.unwrap_or_default() - left;
                format!("it would exceed the budget by {missing} USD")
            }
        }
    }

    /// A run that holds a reservation is over.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        let cost = match outcome {
            // What was not billed openly is taken to have cost what was expected.
            Outcome::Completed(effect) => effect.usage.cost.or(self.price).unwrap_or_default(),
            // A failed task's bill is documented nowhere; where none came, none is assumed.
            Outcome::Failed(failed) => {
                failed.usage.as_ref().and_then(|usage| usage.cost).unwrap_or_default()
            }
            Outcome::Refused(_) => Decimal::ZERO,
            Outcome::Detached(detached) if detached.task_id.is_none() => Decimal::ZERO,
            _ => return self.hold(),
        };
        self.under_way -= 1;
        self.spent += cost;
        if cost > self.price.unwrap_or_default() {
            self.price = Some(cost);
        }
    }

    /// A run that holds a reservation is over, and nothing was billed for it.
    pub(super) fn release(&mut self) {
        self.under_way -= 1;
    }

    /// A run that holds a reservation is over, and what it cost will not be known.
    pub(super) fn hold(&mut self) {
        self.under_way -= 1;
        self.doubtful += 1;
    }
}
