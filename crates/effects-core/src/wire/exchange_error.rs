//! [`ExchangeError`]: why one exchange failed (a submission, a poll, an upload, a download): it was not
//! sent, its answer was lost or cannot be read, or the answer is no success ([`Rejection`]).
//! `wire/answer.rs` makes it of an answer, both clients and `effects-jobs` of a failed transfer. Events,
//! outcomes and errors carry it; runs, jobs and [`Retries`](crate::Retries) decide by it whether to go on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wire::response_excerpt::ResponseExcerpt;
use crate::wire::task::ServiceError;

/// What went wrong with one exchange, as an event, an outcome or an error tells it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeError {
    /// It provably never left this machine.
    NotSent {
        /// Why, in the HTTP stack's words.
        reason: String,
    },
    /// It never left this machine, since the certificate of what answered there is not trusted here. To
    /// try again would not help.
    Untrusted {
        /// Why, in the HTTP stack's words, and the way out.
        reason: String,
    },
    /// Nothing was sent: a recording is replayed, and has no answer to it, or none left.
    NotRecorded {
        /// What was asked for, and how it differs from what was recorded.
        reason: String,
    },
    /// It may have arrived; no answer came.
    Lost {
        /// Why, in the HTTP stack's words.
        reason: String,
    },
    /// The service answered, but not with a task.
    Rejected(Box<Rejection>),
    /// The service answered with a body that cannot be read.
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        excerpt: String,
        /// More of the answer; `None` where the error is the client's own finding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<Box<ResponseExcerpt>>,
    },
}

impl ExchangeError {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected(rejection) => Some(rejection.status),
            Self::Unreadable { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the service knows no such task.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// What is kept of the answer, if there was one.
    pub fn response(&self) -> Option<&ResponseExcerpt> {
        match self {
            Self::Rejected(rejection) => rejection.response.as_deref(),
            Self::Unreadable { response, .. } => response.as_deref(),
            _ => None,
        }
    }

    /// The same without it, for a run that waits with many others.
    pub(crate) fn without_response(mut self) -> Self {
        match &mut self {
            Self::Rejected(rejection) => rejection.response = None,
            Self::Unreadable { response, .. } => *response = None,
            _ => {}
        }
        self
    }

    /// The rejection, if it is one.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { reason } | Self::Untrusted { reason } => {
                write!(f, "never left this machine: {reason}")
            }
            Self::NotRecorded { reason } => f.write_str(reason),
            Self::Lost { reason } => write!(f, "no answer: {reason}"),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Unreadable { status, excerpt, .. } if excerpt.is_empty() => {
                write!(f, "HTTP {status} with an answer that cannot be read: empty")
            }
            Self::Unreadable { status, excerpt, .. } => {
                write!(f, "HTTP {status} with an answer that cannot be read: {excerpt}")
            }
        }
    }
}

/// An answer of the service that is not a task.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The service's code and words.
    pub error: ServiceError,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
    /// The service's name for the exchange, for its support.
    pub request_id: Option<String>,
    /// Whether the body is a JSON object. The gateway's own refusals are; the page of a proxy or a
    /// firewall in between is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_json: bool,
    /// More of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<ResponseExcerpt>>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if self.error != ServiceError::default() {
            write!(f, ": {}", self.error)?;
        }
        Ok(())
    }
}
