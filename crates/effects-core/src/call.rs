//! One exchange with the service, and what became of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::retry_after::{answered_at, retry_after};
use crate::task_id::TaskId;
use crate::time::Time;

/// An exchange to make: hand it to a transport and answer with a [`Reply`] under its
/// [`id`](Self::id).
///
/// It holds no credentials: an [`Endpoint`](crate::Endpoint) adds them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// Its name within the run.
    pub id: CallId,
    /// What to send.
    pub exchange: Exchange,
    /// How long it may take, from the first byte to the last.
    pub timeout: Duration,
    /// When that time is over: past it, the run books the call as lost by itself.
    pub limit: Time,
}

impl Call {
    /// A look at a task outside any run; [`Task::read`](crate::Task::read) reads its answer.
    pub fn look(task: TaskId, timeout: Duration, now: Time) -> Self {
        Self { id: CallId(0), exchange: Exchange::Poll { task }, timeout, limit: now + timeout }
    }

    /// Whether it submits: a request that costs money and must never be dropped on the way.
    pub fn is_submission(&self) -> bool {
        matches!(self.exchange, Exchange::Submit { .. })
    }
}

/// What a [`Call`] sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Exchange {
    /// `POST /model/v1/generation`: makes a task, and costs.
    Submit {
        /// The JSON body.
        body: Bytes,
        /// Names this attempt: `X-Request-Id`.
        request_id: String,
        /// Names the submission, the same in each attempt: `Idempotency-Key`. The service promises
        /// nothing for it and nothing here relies on it.
        idempotency_key: String,
    },
    /// `GET /model/v1/generation/task/{id}`: looks at a task.
    Poll {
        /// The task to look at.
        task: TaskId,
    },
}

/// The name of a [`Call`] within its run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct CallId(pub(crate) u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}", self.0)
    }
}

/// What became of a [`Call`].
///
/// The difference between the last two is money: what provably never left this machine is sent
/// again, what may have arrived is not. In doubt it is [`Lost`](Self::Lost).
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// The service answered.
    Answer {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
        /// Its whole body.
        body: &'a [u8],
    },
    /// It provably never left this machine: no name, no connection, no TLS session.
    NotSent(&'a str),
    /// It may have arrived: whatever went wrong after the first byte.
    Lost(&'a str),
}

impl Reply<'_> {
    /// How long the answer asks to be left alone, whatever else it says.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer { headers, .. } => retry_after(headers),
            Self::NotSent(_) | Self::Lost(_) => None,
        }
    }

    /// When the answer was made, by the service's clock.
    pub(crate) fn date(&self) -> Option<Time> {
        match self {
            Self::Answer { headers, .. } => answered_at(headers),
            Self::NotSent(_) | Self::Lost(_) => None,
        }
    }
}

/// A [`Reply`] that owns what it says: what a transport returns.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The service answered.
    Answered {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// Its whole body.
        body: Bytes,
    },
    /// See [`Reply::NotSent`].
    NotSent(String),
    /// See [`Reply::Lost`].
    Lost(String),
}

impl Answer {
    /// The same, borrowed, for [`Run::reply`](crate::Run::reply).
    pub fn as_reply(&self) -> Reply<'_> {
        match self {
            Self::Answered { status, headers, body } => {
                Reply::Answer { status: *status, headers, body }
            }
            Self::NotSent(reason) => Reply::NotSent(reason),
            Self::Lost(reason) => Reply::Lost(reason),
        }
    }
}
