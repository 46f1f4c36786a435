//! [`RowOutcome`]: how a run ended, as a journal keeps it in the run's row: completed, failed, unknown or
//! abandoned, with the cost, picture URLs and error of the [`Outcome`]. The loops in `driver` and
//! `JobMachine` make it for `Journal::ended`, and `OpenRow` of `effects-jobs` to settle its row. Every
//! journal stores it; `effects-client` reports costs by it, and the trackers of the command and the Python
//! binding pass it on.

use rust_decimal::Decimal;

use crate::error::{Cause, Error};
use crate::error_kind::ErrorKind;
use crate::run::outcome::{Effect, Failed, Outcome, Unknown};
use crate::signed_url;
use crate::task_id::TaskId;
use crate::wire::code::ServiceCode;

/// What a run of a row came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowOutcome {
    /// The task is done.
    Completed {
        /// The task.
        task: TaskId,
        /// What it cost, in USD.
        cost: Option<Decimal>,
        /// The URLs of its pictures, as people may see them.
        pictures: Vec<String>,
    },
    /// The task is over and has no picture.
    Failed {
        /// The task.
        task: TaskId,
        /// The service's code.
        code: Option<ServiceCode>,
        /// The reason.
        message: String,
        /// What it cost, in USD.
        cost: Option<Decimal>,
    },
    /// A submission's answer is lost.
    Unknown {
        /// What is known of it.
        reason: String,
    },
    /// The run ended without a verdict on a task (refused, detached, still running, broken): the row is free
    /// for the next run. A task goes on, and an intent without an answer becomes doubtful.
    Abandoned,
}

impl RowOutcome {
    /// What a client's result says of the row.
    pub fn of(result: &Result<Effect, Error>) -> Self {
        let error = match result {
            Ok(effect) => return Self::completed(effect),
            Err(error) => error,
        };
        match error.cause() {
            Cause::Failed(failed) => Self::failed(failed),
            Cause::Unknown(unknown) => Self::unknown(unknown),
            // A client may report a lost answer by an error of its own: the row is in doubt all the
            // same.
            Cause::Problem(problem) if problem.kind == ErrorKind::OutcomeUnknown => {
                Self::Unknown { reason: problem.message.clone() }
            }
            _ => Self::Abandoned,
        }
    }

    /// What the end of a run says of the row.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed(effect) => Self::completed(effect),
            Outcome::Failed(failed) => Self::failed(failed),
            Outcome::Unknown(unknown) => Self::unknown(unknown),
            Outcome::Refused(_)
            | Outcome::StillRunning(_)
            | Outcome::Detached(_)
            | Outcome::Broken(_) => Self::Abandoned,
        }
    }

    fn failed(failed: &Failed) -> Self {
        Self::Failed {
            task: failed.task_id.clone(),
            code: failed.error.as_ref().and_then(|error| error.code.clone()),
            message: failed.error.as_ref().map_or_else(
                || failed.reason(),
                |error| error.to_string().chars().take(MAX_MESSAGE_CHARS).collect(),
            ),
            cost: failed.usage.as_ref().and_then(|usage| usage.cost),
        }
    }

    fn unknown(unknown: &Unknown) -> Self {
        Self::Unknown { reason: unknown.error.to_string() }
    }

    fn completed(effect: &Effect) -> Self {
        let pictures = effect.pictures.iter().map(|picture| signed_url::shown(&picture.url));
        Self::Completed {
            task: effect.task_id.clone(),
            cost: effect.usage.cost,
            pictures: pictures.collect(),
        }
    }
}

/// The service's words are kept up to here.
const MAX_MESSAGE_CHARS: usize = 500;
