//! [`AttemptEnd`]: how an attempt to submit ended: answered for good, refused for now, not tried, not sent,
//! or not known. `Run::attempt_end` tells it, and the `CircuitBreaker` of a `Batch` goes by it.

use crate::error_kind::ErrorKind;
use crate::wire::answer::kind_of;
use crate::wire::exchange_error::ExchangeError;

/// How an attempt to submit ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AttemptEnd {
    /// The gateway answered for good: with a task, or that there will be none.
    Answered,
    /// The gateway refused it for now.
    RefusedForNow,
    /// It was not to leave: there is no budget for it, or the caller stopped it.
    NotTried,
    /// It could not leave this machine.
    NotSent { reason: String },
    /// It may have made a task.
    Unknown,
}

impl AttemptEnd {
    /// The end of an attempt that made no task.
    pub(super) fn of_refusal(error: &ExchangeError) -> Self {
        match error {
            ExchangeError::NotSent { reason } => Self::NotSent { reason: reason.clone() },
            // It says nothing of what reaches the gateway.
            ExchangeError::Untrusted { .. } | ExchangeError::NotRecorded { .. } => Self::NotTried,
            error if kind_of(error) == ErrorKind::RateLimited => Self::RefusedForNow,
            // Whatever the gateway refused, its answer shows that it works.
            _ => Self::Answered,
        }
    }
}
