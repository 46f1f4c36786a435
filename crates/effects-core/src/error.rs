//! Everything that can go wrong, once: one table from kind to Python class and exit code.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::request::{InvalidRequest, Violation};
use crate::printable::Escaping;
use crate::run::outcome::{Broken, Detached, Failed, Outcome, Refused, StillRunning, Unknown};
use crate::task_id::TaskId;
use crate::wire::code::ServiceCode;
use crate::wire::effect::Effect;
use crate::wire::trouble::{Rejection, Trouble};

/// What kind of thing went wrong: the row of [`ErrorKind::TABLE`] it stands in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks the service's rules; nothing was sent.
    InvalidRequest,
    /// An option is unusable; nothing was sent.
    Misconfigured,
    /// A file on this machine cannot be read as a photo; nothing was sent.
    UnusablePhoto,
    /// The service refused the request; nothing is billed.
    Rejected,
    /// The base URL has no such endpoint; nothing is billed.
    NoSuchEndpoint,
    /// The base URL redirects; the key is never sent after a redirect.
    Redirected,
    /// There is no key.
    MissingKey,
    /// The service refused the key.
    KeyRefused,
    /// The key may not do this.
    Forbidden,
    /// The account is out of credit.
    OutOfCredit,
    /// The caller's own budget would be exceeded; nothing was sent.
    BudgetExceeded,
    /// The service throttled to the end of the wait.
    RateLimited,
    /// The service could not be reached, or broke down.
    Transport,
    /// The service answers with what nobody can read.
    UnreadableAnswer,
    /// A photo could not be uploaded; nothing was submitted.
    Upload,
    /// A picture could not be downloaded; the task and its picture are there.
    Download,
    /// The task failed.
    TaskFailed,
    /// The task is completed, and has no picture.
    NoPicture,
    /// The service knows no such task.
    TaskNotFound,
    /// A submission's answer is lost: the task may exist and may be billed.
    OutcomeUnknown,
    /// The wait is over, the task is not.
    WaitTimeout,
    /// The caller stopped watching.
    Detached,
    /// The journal could not be written, so nothing more was sent.
    Journal,
}

/// One row of [`ErrorKind::TABLE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ErrorRow {
    /// The kind.
    pub kind: ErrorKind,
    /// Its name in JSON.
    pub name: &'static str,
    /// The class the Python package raises.
    pub python_class: &'static str,
    /// The exit code of the command.
    pub exit_code: u8,
}

impl ErrorKind {
    /// Every kind, with its name in JSON, its Python class and its exit code: the one place where
    /// they are written down.
    pub const TABLE: [ErrorRow; 23] = [
        row(Self::InvalidRequest, "invalid_request", "InvalidRequest", 2),
        row(Self::Misconfigured, "misconfigured", "InvalidRequest", 2),
        row(Self::UnusablePhoto, "unusable_photo", "InvalidRequest", 2),
        row(Self::Rejected, "rejected", "InvalidRequest", 2),
        row(Self::NoSuchEndpoint, "no_such_endpoint", "InvalidRequest", 2),
        row(Self::Redirected, "redirected", "InvalidRequest", 2),
        row(Self::MissingKey, "missing_key", "AuthError", 3),
        row(Self::KeyRefused, "key_refused", "AuthError", 3),
        row(Self::Forbidden, "forbidden", "AuthError", 3),
        row(Self::OutOfCredit, "out_of_credit", "OutOfCredit", 6),
        row(Self::BudgetExceeded, "budget_exceeded", "BudgetExceeded", 6),
        row(Self::RateLimited, "rate_limited", "RateLimited", 9),
        row(Self::Transport, "transport", "TransportError", 7),
        row(Self::UnreadableAnswer, "unreadable_answer", "UnreadableAnswer", 7),
        row(Self::Upload, "upload", "TransportError", 7),
        row(Self::Download, "download", "TransportError", 7),
        row(Self::TaskFailed, "task_failed", "TaskFailed", 4),
        row(Self::NoPicture, "no_picture", "TaskFailed", 4),
        row(Self::TaskNotFound, "task_not_found", "TaskNotFound", 4),
        row(Self::OutcomeUnknown, "outcome_unknown", "OutcomeUnknown", 8),
        row(Self::WaitTimeout, "wait_timeout", "WaitTimeout", 5),
        row(Self::Detached, "detached", "KeyboardInterrupt", 130),
        row(Self::Journal, "journal", "EffectsError", 1),
    ];

    /// Its row.
    pub const fn row(self) -> &'static ErrorRow {
        // The table stands in the order of the enum; a test holds it to that.
        &Self::TABLE[self as usize]
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The exit code of the command.
    pub const fn exit_code(self) -> u8 {
        self.row().exit_code
    }

    /// The class the Python package raises.
    pub const fn python_class(self) -> &'static str {
        self.row().python_class
    }
}

const fn row(
    kind: ErrorKind,
    name: &'static str,
    python_class: &'static str,
    exit_code: u8,
) -> ErrorRow {
    ErrorRow { kind, name, python_class, exit_code }
}

/// The error of both clients: what went wrong, with everything needed to go on from there.
///
/// One pointer wide, comparable, and free of secrets: keys never reach the places it is made in.
///
/// ```
/// use effects_core::{EffectRequest, Error, ErrorKind, Template};
///
/// let error: Error = EffectRequest::new(Template::GlassBall, "cat.jpg").unwrap_err().into();
/// assert_eq!(error.kind(), ErrorKind::InvalidRequest);
/// assert_eq!(error.exit_code(), 2);
/// assert_eq!(error.task_id(), None);
/// ```
#[derive(Clone, PartialEq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    cause: Cause,
    resume: Option<String>,
}

/// What an [`Error`] tells of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The request breaks the service's rules.
    Invalid(InvalidRequest),
    /// No task was made.
    Refused(Refused),
    /// The task is over and has no picture.
    Failed(Failed),
    /// A submission's answer is lost.
    Unknown(Unknown),
    /// The wait is over, the task is not.
    StillRunning(StillRunning),
    /// The caller stopped watching.
    Detached(Detached),
    /// The service would not show the task.
    Broken(Broken),
    /// Something beside the run went wrong: settings, photos, uploads, downloads, the journal.
    Problem(Problem),
}

/// Something that went wrong beside a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ErrorKind,
    /// What, and the way out.
    pub message: String,
    /// The task it concerns, if one exists.
    pub task_id: Option<TaskId>,
    /// The exchange it went wrong in, if one did.
    pub trouble: Option<Trouble>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.trouble {
            Some(trouble) => write!(f, " ({trouble})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// An error of something beside a run.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Problem { kind, message: message.into(), task_id: None, trouble: None }.into()
    }

    /// The same error, with the line that resumes the task where it has one.
    #[must_use]
    pub fn with_resume_line(mut self, line: impl FnOnce(&TaskId) -> String) -> Self {
        // A verdict leaves nothing to wait for.
        if !matches!(self.0.cause, Cause::Failed(_)) {
            self.0.resume = self.task_id().map(line);
        }
        self
    }

    /// The same error, about this task, if it tells of none yet.
    #[must_use]
    pub fn about(mut self, task: &TaskId) -> Self {
        if let Cause::Problem(problem) = &mut self.0.cause {
            problem.task_id.get_or_insert_with(|| task.clone());
        }
        self
    }

    /// What went wrong.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        match &self.0.cause {
            Cause::Invalid(_) => ErrorKind::InvalidRequest,
            Cause::Refused(refused) => refused.kind,
            Cause::Failed(failed) => failed.kind,
            Cause::Unknown(_) => ErrorKind::OutcomeUnknown,
            Cause::StillRunning(_) => ErrorKind::WaitTimeout,
            Cause::Detached(_) => ErrorKind::Detached,
            Cause::Broken(broken) => broken.kind,
            Cause::Problem(problem) => problem.kind,
        }
    }

    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        self.kind().exit_code()
    }

    /// The task it concerns: known for every error after a submission was answered.
    pub fn task_id(&self) -> Option<&TaskId> {
        match &self.0.cause {
            Cause::Failed(failed) => Some(&failed.task_id),
            Cause::StillRunning(still) => Some(&still.task_id),
            Cause::Broken(broken) => Some(&broken.task_id),
            Cause::Detached(detached) => detached.task_id.as_ref(),
            Cause::Problem(problem) => problem.task_id.as_ref(),
            Cause::Invalid(_) | Cause::Refused(_) | Cause::Unknown(_) => None,
        }
    }

    /// The service's code: of the task's error, the refusal, or the first rule the request breaks.
    pub fn code(&self) -> Option<&ServiceCode> {
        match &self.0.cause {
            Cause::Invalid(invalid) => invalid.violations().first().map(|v: &Violation| &v.code),
            Cause::Failed(failed) => failed.error.as_ref()?.code.as_ref(),
            _ => self.rejection()?.error.code.as_ref(),
        }
    }

    /// The HTTP status of the answer it is about.
    pub fn status(&self) -> Option<u16> {
        self.trouble()?.status()
    }

    /// How long the service asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.rejection()?.retry_after
    }

    /// The name of the exchange, for the service's support: the service's own, or ours for a
    /// submission of unknown fate.
    pub fn request_id(&self) -> Option<&str> {
        match &self.0.cause {
            Cause::Unknown(unknown) => Some(&unknown.request_id),
            _ => self.rejection()?.request_id.as_deref(),
        }
    }

    /// The exchange it went wrong in.
    pub fn trouble(&self) -> Option<&Trouble> {
        match &self.0.cause {
            Cause::Refused(refused) => Some(&refused.trouble),
            Cause::Unknown(unknown) => Some(&unknown.trouble),
            Cause::StillRunning(still) => still.trouble.as_ref(),
            Cause::Broken(broken) => Some(&broken.trouble),
            Cause::Problem(problem) => problem.trouble.as_ref(),
            Cause::Invalid(_) | Cause::Failed(_) | Cause::Detached(_) => None,
        }
    }

    /// The command line that resumes the task, where there is one to resume.
    pub fn resume_line(&self) -> Option<&str> {
        self.0.resume.as_deref()
    }

    fn rejection(&self) -> Option<&Rejection> {
        self.trouble()?.rejection()
    }
}

/// In words, on one line: what came from outside is escaped as by
/// [`printable`](crate::printable), since the words of an error end up on terminals.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Escaping::new(f);
        match &self.0.cause {
            Cause::Invalid(invalid) => write!(f, "{invalid}")?,
            Cause::Refused(refused) => write!(f, "{refused}")?,
            Cause::Failed(failed) => write!(f, "{failed}")?,
            Cause::Unknown(unknown) => write!(f, "{unknown}")?,
            Cause::StillRunning(still) => write!(f, "{still}")?,
            Cause::Detached(detached) => write!(f, "{detached}")?,
            Cause::Broken(broken) => write!(f, "{broken}")?,
            Cause::Problem(problem) => write!(f, "{problem}")?,
        }
        match &self.0.resume {
            Some(line) => write!(f, "; resume with: {line}"),
            None => Ok(()),
        }
    }
}

/// The kind and the message: what a `main` that returns an error prints, and a person reads.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Invalid(invalid) => Some(invalid),
            _ => None,
        }
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self(Box::new(Inner { cause, resume: None }))
    }
}

impl From<InvalidRequest> for Error {
    fn from(invalid: InvalidRequest) -> Self {
        Cause::Invalid(invalid).into()
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Cause::Problem(problem).into()
    }
}

impl Outcome {
    /// The effect of a completed run; an error for every other end.
    ///
    /// # Errors
    ///
    /// Every outcome but [`Outcome::Completed`], as the [`Cause`] of the same name.
    pub fn into_result(self) -> Result<Effect, Error> {
        Err(Error::from(match self {
            Self::Completed(effect) => return Ok(*effect),
            Self::Refused(refused) => Cause::Refused(refused),
            Self::Failed(failed) => Cause::Failed(failed),
            Self::Unknown(unknown) => Cause::Unknown(unknown),
            Self::StillRunning(still) => Cause::StillRunning(still),
            Self::Detached(detached) => Cause::Detached(detached),
            Self::Broken(broken) => Cause::Broken(broken),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum_and_names_match_serde() {
        for (index, row) in ErrorKind::TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, index);
            assert_eq!(row.kind.row(), row);
            let name = serde_json::to_string(&row.kind).unwrap();
            assert_eq!(name.trim_matches('"'), row.name);
        }
        // `Journal` is the last variant, so the table has a row for each.
        assert_eq!(ErrorKind::Journal as usize + 1, ErrorKind::TABLE.len());
    }

    #[test]
    fn an_error_is_one_pointer_and_crosses_threads() {
        fn crosses<T: Send + Sync + std::panic::UnwindSafe + 'static>() {}
        crosses::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
