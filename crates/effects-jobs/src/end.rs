//! [`JobEnd`]: how a job ended: its [`JobOutcome`] (a picture, a failure, or nothing sent), how it got
//! its picture ([`Method`]), what earlier tasks cost, and its row. [`JobMachine`](crate::JobMachine)
//! gives it to the drivers of both clients with a job's last step. `JobContext` of `effects-client`
//! makes a `JobResult` of it, for Rust programs, the command's batches and the Python package; the
//! async client's single runs take its outcome.

use crate::journal::Record;
use effects_core::{Effect, Error};
use rust_decimal::Decimal;

use crate::row::OpenRow;

/// How a job ended.
#[derive(Debug)]
pub struct JobEnd {
    /// What came of it.
    pub outcome: JobOutcome,
    /// How it got its picture, where it came that far.
    pub method: Option<Method>,
    /// What its tasks before the last one cost, in USD.
    pub earlier_cost: Decimal,
    /// Its row, still in hand, where there is a journal.
    pub row: Option<OpenRow>,
}

/// What came of a job.
#[derive(Debug)]
pub enum JobOutcome {
    /// Its task is done, and its pictures are fetched as far as they were wanted.
    Completed(Box<Effect>),
    /// Its task is done and paid for, and its pictures could not be fetched.
    NotFetched(Box<Effect>, Error),
    /// It was completed before, and its pictures are where they belong.
    Kept,
    /// The journal says why it is not gone on with: it failed before, is doubtful, or another process has
    /// it.
    Recorded(Box<Record>),
    /// Its run ended without a picture.
    Failed(Error),
    /// Nothing was sent for it, for a reason of its own.
    Refused(Error),
    /// Nothing was sent for it, since making it ready failed.
    NotReady(Error),
    /// Nothing was sent for it, since nothing more is begun.
    NotBegun,
}

impl JobOutcome {
    /// The same outcome, its error changed so.
    #[must_use]
    pub fn map_error(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::NotFetched(effect, error) => Self::NotFetched(effect, change(error)),
            Self::Failed(error) => Self::Failed(change(error)),
            Self::Refused(error) => Self::Refused(change(error)),
            Self::NotReady(error) => Self::NotReady(change(error)),
            other @ (Self::Completed(_) | Self::Kept | Self::Recorded(_) | Self::NotBegun) => other,
        }
    }
}

/// How a job got its picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// It was there.
    Kept,
    /// By a task of this run.
    Submitted,
    /// By a task of an earlier run, or of another process.
    Resumed,
}
