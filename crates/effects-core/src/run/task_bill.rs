//! [`TaskBill`]: what a task that made no picture, or none yet, means for the money: billed, not billed,
//! billed if it completes, or not known; in words that are the same everywhere. The messages of
//! [`Failed`](crate::run::Failed) and the other ends of a run have them; the report of `effects batch`,
//! `effects status`, the clients' `JobResult` and the Python package use them, too.

use std::fmt;

use rust_decimal::Decimal;

use crate::wire::usage::Usage;

/// What a task that made no picture, or none yet, means for the money.
///
/// The service's page has a cost for completed tasks alone, so a failed one without a cost counts as not
/// billed, in every sum and in these words.
///
/// ```
/// use effects_core::{TaskBill, Usage};
///
/// assert_eq!(TaskBill::of_failed(Usage::read_cost("0.03")).to_string(), "it cost 0.03 USD");
/// let words = TaskBill::of_failed(None).to_string();
/// assert_eq!(words, "the service tells no cost of it, so it counts as not billed");
/// let words = TaskBill::OnCompletion.replayed_if(true).to_string();
/// assert_eq!(words, "it is a replay: no task goes on, and nothing is paid");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TaskBill {
    /// It cost so much, in USD.
    Billed(Decimal),
    /// It failed, and the service told no cost.
    NotBilled,
    /// The service sent this for its cost, which is no cost.
    Unreadable(String),
    /// It is completed, and the service told no cost.
    NotTold,
    /// It has no end yet.
    OnCompletion,
    /// The service does not show it.
    NotKnown,
    /// It is a task of a recording that is replayed, which tells this cost of it, in USD.
    Replayed(Option<Decimal>),
}

impl TaskBill {
    /// Of a failed task that told this cost, in USD.
    pub fn of_failed(cost: Option<Decimal>) -> Self {
        cost.map_or(Self::NotBilled, Self::Billed)
    }

    /// Of a task that is over; `without` is what it means that the service told no cost.
    pub(crate) fn of_usage(usage: Option<&Usage>, without: Self) -> Self {
        let Some(usage) = usage else { return without };
        match (usage.cost, &usage.unreadable_cost) {
            (Some(cost), _) => Self::Billed(cost),
            (None, Some(sent)) => Self::Unreadable(sent.clone()),
            (None, None) => without,
        }
    }

    /// The same, or of a replay, in which nothing is paid, whatever its recording says.
    #[must_use]
    pub fn replayed_if(self, is_replayed: bool) -> Self {
        match self {
            bill if !is_replayed => bill,
            Self::Billed(cost) => Self::Replayed(Some(cost)),
            // That it counts as not billed is so in a replay, too.
            Self::NotBilled => Self::NotBilled,
            _ => Self::Replayed(None),
        }
    }
}

impl fmt::Display for TaskBill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Billed(cost) => write!(f, "it cost {cost} USD"),
            Self::NotBilled => {
                f.write_str("the service tells no cost of it, so it counts as not billed")
            }
            Self::Unreadable(sent) => {
                write!(
                    f,
                    "it may be billed: the service sent {sent:?} for its cost, which cannot be read"
                )
            }
            Self::NotTold => f.write_str("it may be billed: the service tells no cost of it"),
            Self::OnCompletion => f.write_str("the task goes on, and is billed if it completes"),
            Self::NotKnown => f.write_str("whether it is billed is not known"),
            Self::Replayed(None) => {
                f.write_str("it is a replay: no task goes on, and nothing is paid")
            }
            Self::Replayed(Some(cost)) => {
                write!(f, "it is a replay, which pays nothing: its recording says {cost} USD")
            }
        }
    }
}
