//! [`Call`]: one exchange that a run asks for, a submission or a poll of a task, before it is an HTTP
//! request. `Run` and `Batch` hand calls out, single polls (of both clients and `effects doctor`) make one;
//! a `Gateway` sends it and returns a [`CallResult`]: the HTTP stack's [`Answer`] with the API key, so that
//! the core can redact it. Cassettes, downloads and webhooks use [`Answer`], too. [`FreshConnection`] and
//! [`FetchOptions`] mark HTTP requests: for an HTTP stack to open a new connection, or to fetch a picture.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::gateway::api_key::ApiKey;
use crate::gateway::request_headers::RequestHeaders;
use crate::gateway::retry_after::{answered_at, retry_after};
use crate::task_id::TaskId;
use crate::time::Time;

/// An exchange to make: give it to a [`Gateway`](crate::gateway::Gateway) and answer with its
/// [`CallResult`] under its [`id`](Self::id).
///
/// It holds no credentials: an [`Endpoint`](crate::gateway::Endpoint) adds them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// Its name within the run.
    pub id: CallId,
    /// What to send.
    pub kind: CallKind,
    /// How long it may take, from the first byte to the last.
    pub timeout: Duration,
    /// When that time is over: past it, the run books the call as lost by itself.
    pub limit: Time,
    /// Headers of the caller's own.
    pub headers: RequestHeaders,
}

impl Call {
    /// A look at a task outside any run; [`Task::read`](crate::Task::read) reads its answer.
    pub fn look(task: TaskId, timeout: Duration, now: Time) -> Self {
        Self::of(CallKind::Poll { task }, timeout, now)
    }

    /// A call outside any run.
    pub fn of(kind: CallKind, timeout: Duration, now: Time) -> Self {
        let headers = RequestHeaders::default();
        // Its id is never compared with another: no run awaits this call.
        Self { id: CallId(0), kind, timeout, limit: now + timeout, headers }
    }

    /// The same with headers of the caller's own.
    #[must_use]
    pub fn with_headers(self, headers: RequestHeaders) -> Self {
        Self { headers, ..self }
    }

    /// The task that it looks at.
    pub(crate) fn task(&self) -> Option<&TaskId> {
        match &self.kind {
            CallKind::Poll { task } => Some(task),
            CallKind::Submit { .. } => None,
        }
    }

    /// Whether it submits: a request that costs money and must never be dropped on the way.
    pub fn is_submission(&self) -> bool {
        matches!(self.kind, CallKind::Submit { .. })
    }
}

/// What a [`Call`] sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallKind {
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

/// An extension of a request that must leave on a connection of its own: one that was kept may be
/// closed by the gateway at that very moment, and then it is unknown what became of a request that
/// costs money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FreshConnection;

/// An extension of a request that fetches a picture with GET, from wherever it is. Such a request carries
/// no key and may be repeated. Redirects may be followed on the way, or handed back like any answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchOptions {
    /// The most bytes of an answer that are of use. Other answers are a few kilobytes long.
    pub most_bytes: u64,
    /// How long it may go without a byte: less than the time limit, which a slow network may need for a
    /// long picture.
    pub quiet: Duration,
}

/// What an HTTP stack says of an exchange, as it came.
///
/// The difference between the last and those before it is money: what provably never left this machine is sent
/// again, what may have arrived is not. In doubt it is [`Lost`](Self::Lost).
#[derive(Clone)]
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
    /// The service began to answer, and the rest did not come. The answer is lost, but for a task's
    /// id in what came of it.
    BrokenOff {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// What came of its body.
        body: Bytes,
        /// Why no more came.
        reason: String,
    },
    /// It provably made no task: it never left this machine (no name, no connection, no TLS session), or
    /// the gateway said in HTTP/2 that it had not begun to process it.
    NotSent(String),
    /// The same, and nothing is tried again: the certificate of what answered there is not trusted here, or
    /// that of the client not there, or the stack itself sends no such request.
    Untrusted(String),
    /// A recording is replayed in place of the gateway and has no answer to it, or none left: nothing was
    /// sent, and nothing is tried again.
    NotRecorded(String),
    /// It may have arrived: whatever went wrong after the first byte.
    Lost(String),
}

/// Without what it holds: a gateway may repeat the key in it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, body, .. } => {
                write!(f, "Answered({status}, {} bytes)", body.len())
            }
            Self::BrokenOff { status, body, .. } => {
                write!(f, "BrokenOff({status}, {} bytes)", body.len())
            }
            Self::NotSent(_) => f.write_str("NotSent"),
            Self::Untrusted(_) => f.write_str("Untrusted"),
            Self::NotRecorded(_) => f.write_str("NotRecorded"),
            Self::Lost(_) => f.write_str("Lost"),
        }
    }
}

/// What became of a [`Call`]: an [`Answer`] on its way into the core.
///
/// An [`Endpoint`](crate::gateway::Endpoint) makes it, and nothing else does, so the core knows the key
/// that it takes out of every text it keeps of an answer.
#[derive(Clone, Debug)]
pub struct CallResult {
    answer: Answer,
    key: ApiKey,
}

impl CallResult {
    pub(crate) fn new(answer: Answer, key: ApiKey) -> Self {
        Self { answer, key }
    }

    /// The answer as it came, with the key where the gateway repeats it: for the tests of an HTTP stack.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    pub(crate) fn as_reply(&self) -> Reply<'_> {
        match &self.answer {
            Answer::Answered { status, headers, body } => {
                Reply::Answer { status: *status, headers, body: self.read(body) }
            }
            // To a poll, half an answer is none. For a submission, `broken_off` gives it to be
            // searched for an id.
            Answer::BrokenOff { reason, .. } | Answer::Lost(reason) => Reply::Lost(reason),
            Answer::NotSent(reason) => Reply::NotSent(reason),
            Answer::Untrusted(reason) => Reply::Untrusted(reason),
            Answer::NotRecorded(reason) => Reply::NotRecorded(reason),
        }
    }

    /// What came of an answer that broke off.
    pub(crate) fn broken_off(&self) -> Option<(StatusCode, AnswerBody<'_>)> {
        match &self.answer {
            Answer::BrokenOff { status, body, .. } => Some((*status, self.read(body))),
            _ => None,
        }
    }

    pub(crate) fn key(&self) -> &ApiKey {
        &self.key
    }

    fn read<'a>(&'a self, bytes: &'a [u8]) -> AnswerBody<'a> {
        AnswerBody { bytes, key: &self.key }
    }
}

/// A [`CallResult`], read.
#[derive(Clone, Copy)]
pub(crate) enum Reply<'a> {
    /// The service answered.
    Answer { status: StatusCode, headers: &'a HeaderMap, body: AnswerBody<'a> },
    /// See [`Answer::NotSent`].
    NotSent(&'a str),
    /// See [`Answer::Untrusted`].
    Untrusted(&'a str),
    /// See [`Answer::NotRecorded`].
    NotRecorded(&'a str),
    /// See [`Answer::Lost`].
    Lost(&'a str),
}

impl Reply<'_> {
    /// How long the answer asks to be left alone, whatever else it says.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer { headers, .. } => retry_after(headers),
            _ => None,
        }
    }

    /// When the answer was made, by the service's clock.
    pub(crate) fn date(&self) -> Option<Time> {
        match self {
            Self::Answer { headers, .. } => answered_at(headers),
            _ => None,
        }
    }
}

/// The body of an answer as it came, and the key that nothing kept of it may hold.
#[derive(Clone, Copy)]
pub(crate) struct AnswerBody<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) key: &'a ApiKey,
}
