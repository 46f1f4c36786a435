//! What an answer means: the two total tables, one for submissions and one for looks.
//!
//! A submission costs money and cannot be taken back, so its table asks one question: is it certain
//! that no task was made? A look costs nothing, so its table asks whether looking again can help.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use crate::call::Reply;
use crate::error::{Cause, Error, ErrorKind};
use crate::outcome::Broken;
use crate::retry_after::retry_after;
use crate::task::{ServiceError, Task};
use crate::task_id::TaskId;
use crate::trouble::{Rejection, Trouble};
use crate::wire::{Body, error_of, excerpt, request_id_of};

/// What the answer to a submission means.
#[derive(Debug)]
pub(crate) enum Submission {
    /// There is a task.
    Created(Box<Task>),
    /// There is none, and asking again would not help.
    Refused(ErrorKind, Trouble),
    /// There is none yet; the same submission may be made later.
    Later(Trouble),
    /// There may be one.
    Unknown(Trouble),
}

impl Submission {
    pub(crate) fn read(reply: Reply<'_>) -> Self {
        let (status, headers, body) = match reply {
            Reply::NotSent(reason) => return Self::Later(not_sent(reason)),
            Reply::Lost(reason) => return Self::Unknown(lost(reason)),
            Reply::Answer { status, headers, body } => (status, headers, body),
        };
        let trouble = || rejected(status, headers, body);
        match status.as_u16() {
            200..=299 => Self::read_success(status, headers, body),
            425 | 429 => Self::Later(trouble()),
            503 if retry_after(headers).is_some() => Self::Later(trouble()),
            408 | 500..=599 => Self::Unknown(trouble()),
            300..=499 => Self::Refused(refusal(status, &error_of(body), body), trouble()),
            // Nothing else is a final answer of HTTP.
            _ => Self::Unknown(trouble()),
        }
    }

    fn read_success(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let Some(read) = Body::read(body) else {
            return Self::Unknown(unreadable(status, body));
        };
        if let Some(task) = read.task(None) {
            return Self::Created(Box::new(task));
        }
        match read.error() {
            Some(error) => {
                let inner = read.envelope_status().and_then(|code| StatusCode::from_u16(code).ok());
                let status = inner.unwrap_or(status);
                Self::Refused(refusal(status, &error, body), rejected(status, headers, body))
            }
            None => Self::Unknown(unreadable(status, body)),
        }
    }
}

/// What the answer to a look means.
#[derive(Debug)]
pub(crate) enum Look {
    /// The task was seen.
    Seen(Box<Task>),
    /// The service knows no such task.
    NotFound(Trouble),
    /// Looking again would not help.
    Stop(ErrorKind, Trouble),
    /// Looking again may help.
    Again(Trouble),
}

impl Look {
    pub(crate) fn read(task: &TaskId, reply: Reply<'_>) -> Self {
        let (status, headers, body) = match reply {
            Reply::NotSent(reason) => return Self::Again(not_sent(reason)),
            Reply::Lost(reason) => return Self::Again(lost(reason)),
            Reply::Answer { status, headers, body } => (status, headers, body),
        };
        if !status.is_success() {
            return Self::read_rejection(status, headers, body);
        }
        let Some(read) = Body::read(body) else {
            return Self::Again(unreadable(status, body));
        };
        if let Some(task) = read.task(Some(task)) {
            return Self::Seen(Box::new(task));
        }
        match read.envelope_status().and_then(|code| StatusCode::from_u16(code).ok()) {
            Some(inner) if inner.as_u16() >= 400 => Self::read_rejection(inner, headers, body),
            _ if read.error().is_some() => Self::Again(rejected(status, headers, body)),
            _ => Self::Again(unreadable(status, body)),
        }
    }

    fn read_rejection(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let trouble = rejected(status, headers, body);
        match status.as_u16() {
            404 => Self::NotFound(trouble),
            408 | 425 | 429 | 500..=599 => Self::Again(trouble),
            _ => {
                let kind = match refusal(status, &error_of(body), body) {
                    kind @ (ErrorKind::KeyRefused
                    | ErrorKind::Forbidden
                    | ErrorKind::OutOfCredit) => kind,
                    // Whatever it wants, it is not an answer about the task.
                    _ => ErrorKind::UnreadableAnswer,
                };
                Self::Stop(kind, trouble)
            }
        }
    }
}

impl Task {
    /// Reads the answer to one look at a task, outside any run.
    ///
    /// # Errors
    ///
    /// The error a run would end with if its wait ended here: the task is not found, the key is
    /// refused, the service cannot be reached or understood.
    pub fn read(task: &TaskId, reply: Reply<'_>) -> Result<Self, Error> {
        let (kind, trouble) = match Look::read(task, reply) {
            Look::Seen(task) => return Ok(*task),
            Look::NotFound(trouble) => (ErrorKind::TaskNotFound, trouble),
            Look::Stop(kind, trouble) => (kind, trouble),
            Look::Again(trouble) => (kind_of(&trouble), trouble),
        };
        Err(Cause::Broken(Broken { task_id: task.clone(), kind, trouble }).into())
    }
}

/// What an exchange that went wrong for good tells about the whole run, when the wait ends with it.
pub(crate) fn kind_of(trouble: &Trouble) -> ErrorKind {
    match trouble {
        Trouble::NotSent { .. } | Trouble::Lost { .. } => ErrorKind::Transport,
        Trouble::Unreadable { .. } => ErrorKind::UnreadableAnswer,
        Trouble::Rejected(rejection) => match rejection.status {
            404 => ErrorKind::TaskNotFound,
            425 | 429 => ErrorKind::RateLimited,
            503 if rejection.retry_after.is_some() => ErrorKind::RateLimited,
            200..=299 => ErrorKind::UnreadableAnswer,
            _ => ErrorKind::Transport,
        },
    }
}

pub(crate) fn not_sent(reason: &str) -> Trouble {
    Trouble::NotSent { reason: reason.to_owned() }
}

pub(crate) fn lost(reason: &str) -> Trouble {
    Trouble::Lost { reason: reason.to_owned() }
}

pub(crate) fn rejected(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Trouble {
    let mut error = error_of(body);
    if let Some(location) = headers.get(LOCATION).filter(|_| status.is_redirection()) {
        let location = String::from_utf8_lossy(location.as_bytes());
        // A query may hold a session.
        let target = location.split(['?', '#']).next().unwrap_or_default();
        error = ServiceError { code: None, message: format!("redirects to {target}") };
    }
    Trouble::Rejected(Box::new(Rejection {
        status: status.as_u16(),
        error,
        retry_after: retry_after(headers),
        request_id: request_id_of(headers, body),
    }))
}

fn unreadable(status: StatusCode, body: &[u8]) -> Trouble {
    Trouble::Unreadable { status: status.as_u16(), excerpt: excerpt(body) }
}

/// The kind of a final refusal. Where the service answers 403 for want of money and where for want
/// of permission, its words alone tell (`WIRE.md` section 7.2).
fn refusal(status: StatusCode, error: &ServiceError, body: &[u8]) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::KeyRefused,
        402 => ErrorKind::OutOfCredit,
        403 if error.speaks_of_balance() => ErrorKind::OutOfCredit,
        403 => ErrorKind::Forbidden,
        300..=399 => ErrorKind::Redirected,
        // A gateway refuses in JSON; something else that answers on this path does not.
        404 | 405 if Body::read(body).is_none() => ErrorKind::NoSuchEndpoint,
        200..=299 if error.speaks_of_balance() => ErrorKind::OutOfCredit,
        _ => ErrorKind::Rejected,
    }
}
