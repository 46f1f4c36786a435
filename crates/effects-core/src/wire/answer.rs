//! [`SubmissionAnswer`] and [`Look`]: what the service's HTTP answers to a submission and to a poll mean,
//! by tables of all possible answers. Runs decide by both, and read a state that was pushed with
//! [`read_pushed`]; `Task::read` makes a `Look` of a single poll, for `status` of the clients, `effects
//! doctor` and cassettes. Uploads and downloads read their answers by `CallResult::arrived`,
//! `CallResult::uploaded_url` and `ExchangeError::rejected`; [`kind_of`] gives runs and `Retries` the error
//! kind of a failed exchange.
//!
//! A submission costs money and cannot be taken back, so its table asks one question: is it certain
//! that no task was made? A look costs nothing, so its table asks whether looking again can help.

use std::fmt;

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error_kind::ErrorKind;
use crate::gateway::api_key::ApiKey;
use crate::gateway::call::{AnswerBody, CallResult, Reply};
use crate::gateway::retry_after::retry_after;
use crate::task_id::TaskId;
use crate::wire::body::{
    Body, TaskDetail, error_of, excerpt, location_of, request_id_of, uploaded_url,
};
use crate::wire::exchange_error::{ExchangeError, Rejection};
use crate::wire::repair::repair;
use crate::wire::response_excerpt::ResponseExcerpt;
use crate::wire::task::{ServiceError, Task};

/// What the answer to a submission means.
///
/// The table. A line counts where none before it does.
///
/// | answer | means | because |
/// |---|---|---|
/// | never left this machine | later | nothing was sent |
/// | not in the recording that is replayed | refused | nothing is ever sent |
/// | carries a task's id, whatever its status, and if it broke off after it | created | the id is what was paid for |
/// | lost, or broken off before an id | unknown | the request may have arrived |
/// | 2xx with a code of [`REFUSED_INSIDE`] | refused | the code says what is wrong with the request, the key or the account |
/// | 2xx with 425 or 429 inside | later | as if it were the status |
/// | every other 2xx | unknown | a time-out or a breakdown is one inside, too, and words alone prove nothing |
/// | 425, 429 | later | what answers so has not passed the request on |
/// | 503 with a code of [`OVERLOADED`] | later | the gateway itself says that it is too busy to take the request |
/// | 301, 302 that point to a task | unknown | "processed, look there" as it was said before there was a 303 |
/// | 301, 302, 307, 308 | refused | the address is another one, or the request is to be made again there: it was not processed here |
/// | 303, every other 3xx | unknown | 303 is "processed, look there" (RFC 9110, 15.4.4); the rest is no answer to a POST |
/// | 408, every other 5xx, what is no final answer | unknown | the request may have been passed on before something broke down |
/// | every other 4xx | refused | the request was not processed (RFC 9110, 15.5) |
///
/// A 503 without a listed code is unknown whatever its headers and its words are: a cache or a proxy
/// that lost the answer of the gateway behind it says 503 too, with `Retry-After`, in HTML as in JSON
/// (`{"message"}`, `{"detail"}`), after the request went through.
///
/// What counts as a task's id: in a 2xx every one that [`Body::task_id`] knows; in a 4xx other than
/// 408 one of a task that is shown ([`Body::id_of_a_shown_task`]), since without it nothing was made
/// and the error may have an id of its own; in every other answer [`Body::id`]. An answer that cannot
/// be read as JSON is repaired first. Where a redirect or an answer without an id points is shown;
/// nothing is sent there.
#[derive(Debug)]
pub(crate) enum SubmissionAnswer {
    /// There is a task, and what to warn of if the answer did not simply say so.
    Created(Box<Task>, Option<String>),
    /// There is none, and asking again would not help.
    Refused(ErrorKind, ExchangeError),
    /// There is none yet; the same submission may be made later. The kind is that of the run's end
    /// if no attempt gets through.
    Later(ErrorKind, ExchangeError),
    /// There may be one.
    Unknown(ExchangeError),
}

/// The codes inside a success which prove that no task was made, each with the status of HTTP that
/// says the same.
///
/// The service's page has the codes of parameters; the statuses and the codes of the balance were seen
/// in its clients (docs/reference/service.md). The page's other codes, 3009095 to 3009099, are those of
/// tasks that were made and failed, so they prove nothing.
const REFUSED_INSIDE: [(&str, u16); 19] = [
    ("3009001", 400),
    ("3009002", 400),
    ("3009003", 400),
    ("3009004", 400),
    ("400", 400),
    ("401", 401),
    ("402", 402),
    ("403", 403),
    ("404", 404),
    ("422", 422),
    ("40201", 402),
    ("40202", 402),
    ("40203", 402),
    ("40204", 402),
    ("40205", 402),
    ("40206", 402),
    ("40207", 402),
    ("40208", 402),
    ("insufficient_balance", 402),
];

/// The codes inside a success that say "later".
const LATER_INSIDE: [&str; 2] = ["425", "429"];

/// The codes in a 503 which prove that the gateway was too busy to take the request.
///
/// `RATE_LIMIT_EXCEEDED` and `1002` are what gateways of this family say beside HTTP 429, 425 and 429
/// are those statuses themselves. 3009099, "Service unavailable", is not here:
/// on the service's page it is the error of a task.
const OVERLOADED: [&str; 4] = ["RATE_LIMIT_EXCEEDED", "1002", "425", "429"];

impl SubmissionAnswer {
    pub(crate) fn read(result: &CallResult) -> Self {
        let (status, headers, body) = match result.as_reply() {
            Reply::NotSent(reason) => return Self::Later(ErrorKind::Transport, not_sent(reason)),
            Reply::Untrusted(reason) => {
                return Self::Refused(ErrorKind::Transport, untrusted(reason));
            }
            Reply::NotRecorded(reason) => {
                return Self::Refused(ErrorKind::NotRecorded, not_recorded(reason));
            }
            Reply::Lost(reason) => {
                // The part that came may hold the id of a task that is paid for.
                let id = result.broken_off().and_then(|(status, body)| repaired_id(status, body));
                return match id {
                    Some(id) => {
                        Self::created_oddly(id, format!("the answer broke off: {reason}"), result)
                    }
                    None => Self::Unknown(lost(reason)),
                };
            }
            Reply::Answer { status, headers, body } => (status, headers, body),
        };
        let read = Body::read(body);
        if let Some(read) = &read {
            match read.task(None, TaskDetail::State) {
                // In an answer of another status the id alone counts, under the stricter rules of
                // `id_of`.
                Some(task) if status.is_success() => return Self::created(task, result),
                _ => {}
            }
            if let Some(id) = id_of(status, read) {
                return Self::created_oddly(id, rejected(status, headers, body), result);
            }
        } else if let Some(id) = repaired_id(status, body) {
            return Self::created_oddly(id, unreadable(status, headers, body), result);
        }
        let error = || rejected(status, headers, body);
        let says = |codes: &[&str]| read.as_ref().and_then(|read| listed(status, read, codes));
        match status.as_u16() {
            200..=299 => {
                let error = success_without_id(status, headers, body);
                let refused = says(&REFUSED_INSIDE.map(|(code, _)| code));
                let as_status = refused.map(|index| StatusCode::from_u16(REFUSED_INSIDE[index].1));
                match as_status {
                    _ if says(&LATER_INSIDE).is_some() => {
                        Self::Later(ErrorKind::RateLimited, error)
                    }
                    Some(Ok(as_status)) => {
                        Self::Refused(refusal(as_status, &error_of(body), body), error)
                    }
                    _ => Self::Unknown(error),
                }
            }
            425 | 429 => Self::Later(ErrorKind::RateLimited, error()),
            503 if says(&OVERLOADED).is_some() => Self::Later(ErrorKind::RateLimited, error()),
            301 | 302 if points_to_a_task(headers) => Self::Unknown(error()),
            301 | 302 | 307 | 308 | 400..=407 | 409..=499 => {
                Self::Refused(refusal(status, &error_of(body), body), error())
            }
            _ => Self::Unknown(error()),
        }
    }

    fn created(task: Task, result: &CallResult) -> Self {
        let warning = key_in_id(&task.id, result);
        Self::Created(Box::new(task), warning)
    }

    /// The task that an answer names which cannot be read, or says something else beside. What else
    /// it says is as likely about the exchange as about the task, so the looks tell how that does.
    fn created_oddly(id: TaskId, oddity: impl fmt::Display, result: &CallResult) -> Self {
        let mut warning = format!(
            "the submission was answered oddly ({oddity}); it names task {id}, which is followed"
        );
        if let Some(more) = key_in_id(&id, result) {
            warning = format!("{warning}; {more}");
        }
        Self::Created(Box::new(Task::named(id)), Some(warning))
    }
}

/// The id of the task that an answer with this status names.
fn id_of(status: StatusCode, read: &Body<'_>) -> Option<TaskId> {
    match status.as_u16() {
        200..=299 => read.task_id(),
        // What is certain to be refused otherwise may have an id for its error.
        400..=407 | 409..=499 => read.id_of_a_shown_task(),
        _ => read.id(),
    }
}

/// The same, of an answer that is only almost JSON.
fn repaired_id(status: StatusCode, body: AnswerBody<'_>) -> Option<TaskId> {
    let json = repair(body.bytes)?;
    let id = id_of(status, &Body::read(AnswerBody { bytes: json.as_bytes(), ..body })?)?;
    // Bytes that are no text were a part of the id, so the id is not known.
    (!id.as_str().contains(char::REPLACEMENT_CHARACTER)).then_some(id)
}

/// The first of these codes that an answer's error carries.
///
/// None where the error carries a status of HTTP beside it that is not one of them: of two that
/// disagree, the one that leaves more open counts. The answer's own status says nothing new.
fn listed(status: StatusCode, read: &Body<'_>, codes: &[&str]) -> Option<usize> {
    let mut first = None;
    for code in read.codes().filter(|code| *code != status.as_str()) {
        let index = codes.iter().position(|listed| listed.eq_ignore_ascii_case(&code));
        let is_status = code.parse().is_ok_and(|code: u16| (100..600).contains(&code));
        if index.is_none() && is_status {
            return None;
        }
        first = first.or(index);
    }
    first
}

/// What to tell of a success that names no task.
fn success_without_id(
    status: StatusCode,
    headers: &HeaderMap,
    body: AnswerBody<'_>,
) -> ExchangeError {
    let read = Body::read(body);
    let has_error = read.as_ref().is_some_and(|read| read.error().is_some());
    if !has_error && !headers.contains_key(LOCATION) {
        return unreadable(status, headers, body);
    }
    // An envelope's status says more than one that only says that the envelope arrived.
    let inner = read.and_then(|read| StatusCode::from_u16(read.envelope_status()?).ok());
    rejected(inner.unwrap_or(status), headers, body)
}

/// Whether a redirect points to a task, and not to another place for the same request.
fn points_to_a_task(headers: &HeaderMap) -> bool {
    let location = headers.get(LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let location = String::from_utf8_lossy(location);
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    parts
        .windows(2)
        // A path that only ends in `/generation/` is another address of the endpoint, and no task.
        .any(|pair| matches!(pair[0], "generation" | "task" | "tasks") && !pair[1].is_empty())
}

/// A warning for a task whose id repeats the key, where it stays.
fn key_in_id(id: &TaskId, result: &CallResult) -> Option<String> {
    result.key().find_in(id.as_str().as_bytes())?;
    Some(
        "the gateway made the API key a part of the task's id, which is kept as it is: make \
         another key when the task is done"
            .to_owned(),
    )
}

/// What the answer to a look means.
///
/// | answer | means |
/// |---|---|
/// | 2xx with a task | seen |
/// | 401 or 403 with a JSON object: the gateway itself | the wait ends |
/// | none in the recording that is replayed | the wait ends |
/// | 404 | not found: the wait ends after three of them over a minute |
/// | 408, 425, 429, 5xx; 2xx without a task; no answer | look again |
/// | any other 3xx or 4xx; 401 or 403 without a JSON object | look again, and tell it once |
///
/// The task is paid for, and most of what refuses a look stands between it and this machine: a proxy
/// that wants a login, a firewall's challenge, a gateway that is being moved. All of that passes, and
/// looking costs nothing. Of an envelope under HTTP 200, the status inside counts.
#[derive(Debug)]
pub(crate) enum Look {
    /// The task was seen.
    Seen(Box<Task>),
    /// The service knows no such task.
    NotFound(ExchangeError),
    /// The gateway bars the task to this key, or a recording ends here: looking again would not help.
    Barred(ErrorKind, ExchangeError),
    /// The look was refused, for a reason that is not the task's; the kind of the refusal, for
    /// a caller that looks only once. Looking again may help.
    Refused(ErrorKind, ExchangeError),
    /// Looking again may help.
    Again(ExchangeError),
}

impl Look {
    pub(crate) fn read(task: &TaskId, reply: Reply<'_>, detail: TaskDetail) -> Self {
        let (status, headers, body) = match reply {
            Reply::NotSent(reason) => return Self::Again(not_sent(reason)),
            Reply::Untrusted(reason) => return Self::Again(untrusted(reason)),
            Reply::NotRecorded(reason) => {
                return Self::Barred(ErrorKind::NotRecorded, not_recorded(reason));
            }
            Reply::Lost(reason) => return Self::Again(lost(reason)),
            Reply::Answer { status, headers, body } => (status, headers, body),
        };
        if !status.is_success() {
            return Self::read_rejection(status, headers, body);
        }
        let Some(read) = Body::read(body) else {
            return Self::Again(unreadable(status, headers, body));
        };
        if let Some(task) = read.task(Some(task), detail) {
            return Self::Seen(Box::new(task));
        }
        match read.envelope_status().and_then(|code| StatusCode::from_u16(code).ok()) {
            // The exchange succeeded and the envelope says what became of the request: its status
            // counts.
            Some(inner) if inner.as_u16() >= 400 => Self::read_rejection(inner, headers, body),
            _ if read.error().is_some() => Self::Again(rejected(status, headers, body)),
            _ => Self::Again(unreadable(status, headers, body)),
        }
    }

    fn read_rejection(status: StatusCode, headers: &HeaderMap, body: AnswerBody<'_>) -> Self {
        let error = rejected(status, headers, body);
        match status.as_u16() {
            404 => Self::NotFound(error),
            408 | 425 | 429 | 500..=599 => Self::Again(error),
            401..=403 => {
                let kind = refusal(status, &error_of(body), body);
                // A gateway refuses in JSON; a challenge or a login page does not. A JSON 402 is an account
                // without credit, which bars new tasks: this one is paid for, and credit may come back.
                let own = error.rejection().is_some_and(|rejection| rejection.is_json);
                if own && status != StatusCode::PAYMENT_REQUIRED {
                    Self::Barred(kind, error)
                } else {
                    Self::Refused(kind, error)
                }
            }
            // Whatever it wants, it is not an answer about the task.
            _ => Self::Refused(ErrorKind::UnreadableAnswer, error),
        }
    }
}

/// The state of this task that came by itself; `None` where it is of another task, or of none.
pub(crate) fn read_pushed(task: &TaskId, pushed: Reply<'_>) -> Option<Task> {
    let Reply::Answer { body, .. } = pushed else { return None };
    let read = Body::read(body)?;
    if read.id().is_some_and(|id| id != *task) {
        return None;
    }
    read.task(Some(task), TaskDetail::State)
}

impl ExchangeError {
    /// The rejection that an answer's status and headers are, when its body tells nothing: that of a
    /// download, which carries no key.
    pub fn rejected(status: StatusCode, headers: &HeaderMap) -> Self {
        rejected(status, headers, AnswerBody { bytes: b"", key: &ApiKey::none() })
    }
}

impl CallResult {
    /// The status of an answer that says that what was sent has arrived.
    ///
    /// # Errors
    ///
    /// The error, of any other answer and of none.
    pub fn arrived(&self) -> Result<StatusCode, ExchangeError> {
        match self.as_reply() {
            Reply::Answer { status, .. } if status.is_success() => Ok(status),
            Reply::Answer { status, headers, body } => Err(rejected(status, headers, body)),
            Reply::NotSent(reason) => Err(not_sent(reason)),
            Reply::Untrusted(reason) => Err(untrusted(reason)),
            Reply::NotRecorded(reason) => Err(not_recorded(reason)),
            Reply::Lost(reason) => Err(lost(reason)),
        }
    }

    /// What is kept of the answer, if there was a whole one: of a success without its body.
    pub fn response(&self) -> Option<Box<ResponseExcerpt>> {
        let Reply::Answer { status, headers, body } = self.as_reply() else { return None };
        Some(match status.is_success() {
            true => ResponseExcerpt::without_body(status, headers, body),
            false => ResponseExcerpt::with_body(status, headers, body),
        })
    }

    /// The URL that a storage endpoint gave to what was sent: `{"url"}` or `{"data":{"url"}}`
    /// (docs/reference/service.md).
    ///
    /// # Errors
    ///
    /// The error, where it has not arrived or no URL can be read. A URL that holds the API key is
    /// one of them, since the URL goes into the request, and with that into the journal.
    pub fn uploaded_url(&self) -> Result<String, ExchangeError> {
        let status = self.arrived()?.as_u16();
        let unreadable = |excerpt: &str| ExchangeError::Unreadable {
            status,
            excerpt: excerpt.to_owned(),
            response: None,
        };
        let url = match self.as_reply() {
            Reply::Answer { body, .. } => uploaded_url(body),
            _ => None,
        };
        match url {
            Some(url) if self.key().find_in(url.as_bytes()).is_none() => Ok(url),
            Some(_) => {
                Err(unreadable("the URL in the storage endpoint's answer holds the API key"))
            }
            None => Err(unreadable("the storage endpoint's answer holds no URL")),
        }
    }
}

/// What an exchange that went wrong for good tells about the whole run, when the wait ends with it.
pub(crate) fn kind_of(error: &ExchangeError) -> ErrorKind {
    match error {
        ExchangeError::NotSent { .. }
        | ExchangeError::Untrusted { .. }
        | ExchangeError::Lost { .. } => ErrorKind::Transport,
        ExchangeError::NotRecorded { .. } => ErrorKind::NotRecorded,
        ExchangeError::Unreadable { .. } => ErrorKind::UnreadableAnswer,
        ExchangeError::Rejected(rejection) => match rejection.status {
            402 => ErrorKind::OutOfCredit,
            404 => ErrorKind::TaskNotFound,
            425 | 429 => ErrorKind::RateLimited,
            503 if rejection.retry_after.is_some() => ErrorKind::RateLimited,
            408 | 500..=599 => ErrorKind::Transport,
            // A 401 or 403 of the gateway's own ended the run at once; another says nothing of the key.
            _ => ErrorKind::UnreadableAnswer,
        },
    }
}

pub(crate) fn not_sent(reason: &str) -> ExchangeError {
    ExchangeError::NotSent { reason: reason.to_owned() }
}

fn untrusted(reason: &str) -> ExchangeError {
    ExchangeError::Untrusted { reason: reason.to_owned() }
}

fn not_recorded(reason: &str) -> ExchangeError {
    ExchangeError::NotRecorded { reason: reason.to_owned() }
}

pub(crate) fn lost(reason: &str) -> ExchangeError {
    ExchangeError::Lost { reason: reason.to_owned() }
}

pub(crate) fn rejected(
    status: StatusCode,
    headers: &HeaderMap,
    body: AnswerBody<'_>,
) -> ExchangeError {
    let mut error = error_of(body);
    match location_of(headers, body) {
        // The target says more to a person than the body, which is usually a page for browsers.
        Some(location) if status.is_redirection() => {
            error = ServiceError { code: None, message: format!("redirects to {location}") };
        }
        Some(location) if error.message.is_empty() => {
            error.message = format!("it points to {location}");
        }
        Some(location) => error.message.push_str(&format!("; it points to {location}")),
        None => {}
    }
    ExchangeError::Rejected(Box::new(Rejection {
        status: status.as_u16(),
        error,
        retry_after: retry_after(headers),
        request_id: request_id_of(headers, body),
        is_json: Body::read(body).is_some(),
        response: Some(ResponseExcerpt::with_body(status, headers, body)),
    }))
}

fn unreadable(status: StatusCode, headers: &HeaderMap, body: AnswerBody<'_>) -> ExchangeError {
    let response = Some(ResponseExcerpt::with_body(status, headers, body));
    ExchangeError::Unreadable { status: status.as_u16(), excerpt: excerpt(body), response }
}

/// The kind of a final refusal. Where the service answers 403 for want of money and where for want
/// of permission, its words alone tell (docs/reference/service.md).
fn refusal(status: StatusCode, error: &ServiceError, body: AnswerBody<'_>) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::KeyRefused,
        402 => ErrorKind::OutOfCredit,
        403 if error.mentions_balance() => ErrorKind::OutOfCredit,
        403 => ErrorKind::Forbidden,
        300..=399 => ErrorKind::Redirected,
        // A gateway refuses in JSON; something else that answers on this path does not.
        404 | 405 if Body::read(body).is_none() => ErrorKind::NoSuchEndpoint,
        _ => ErrorKind::Rejected,
    }
}
