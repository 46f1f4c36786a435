//! [`Admission`]: a journal's answer to an entry of a run: it is written, or the submission does not fit
//! into the budget yet, or never will. Every journal returns it from `write`, and the driver hands it to
//! the `Run`, directly or through `Batch` or `JobMachine`. [`OverBudget`] says why it never will: errors
//! carry it to the command and to programs. [`RowNumber`], a row's number in its journal, is here, too:
//! journals, jobs and the command name rows by it.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::count::count_of;

/// What a journal answers to an entry.
///
/// Only an [`Intent`](crate::journal::Fact::Intent) of a row with a budget is ever
/// answered with anything but `Admitted`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// The entry is durable; for an intent, its price is reserved.
    Admitted,
    /// The intent was not written: it may fit once a row that is under way has told its cost. Ask
    /// again later.
    Wait {
        /// A row under way, held by a live process.
        row: RowNumber,
    },
    /// The intent was not written and would not fit later either. Nothing was sent.
    OverBudget(OverBudget),
}

/// Why a submission does not fit into a budget. Shown, it says what to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverBudget {
    /// Its price is more than what is left.
    Exceeded {
        /// The budget, in USD.
        limit: Decimal,
        /// What the scope's rows have paid, in USD.
        paid: Decimal,
        /// What is reserved for rows without an end, in USD.
        reserved: Decimal,
        /// What this submission would reserve, in USD; 0 where what a picture costs is not known.
        price: Decimal,
    },
    /// What a picture costs is not known, and rows without an end may have used the budget up.
    PriceUnknown {
        /// How many such rows there are: doubtful ones, and tasks that no process follows.
        open: u64,
    },
    /// A completed task has no readable cost, so the budget cannot be kept without a price.
    CostUnreadable {
        /// The first row whose cost is not known.
        row: RowNumber,
    },
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded { limit, paid, reserved, price } => {
                write!(
                    f,
                    "the budget of {limit} USD would be exceeded: {paid} USD are paid, {reserved} \
                     USD are reserved for tasks without an end, and "
                )?;
                match price.is_zero() {
                    true => f.write_str("what a picture costs is not known")?,
                    false => write!(f, "a picture costs {price} USD")?,
                }
                f.write_str(": give a higher budget (--budget, or budget= in Python)")
            }
            Self::PriceUnknown { open } => {
                let tasks = count_of(*open, "task");
                write!(
                    f,
                    "what a picture costs is not known, and {tasks} without an end may have used \
                     the budget up: say what one picture costs at most ({PRICE_OPTION})"
                )
            }
            Self::CostUnreadable { row } => write!(
                f,
                "the service did not say what row {row} of the journal cost, so the budget cannot \
                 be kept: say what one picture costs at most ({PRICE_OPTION})"
            ),
        }
    }
}

/// How the command and the Python package name the price.
const PRICE_OPTION: &str = "--price, or price= in Python";

/// A row's number in its journal: what a person calls it by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RowNumber(pub u64);

impl fmt::Display for RowNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RowNumber {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
