//! [`Error`]: the one error type of both clients, the jobs and the command. Its [`Cause`] is an invalid
//! request, how a run ended, or a [`Problem`] beside a run (settings, photos, transfers, the journal); its
//! `ErrorKind` decides the command's exit code (`failure.rs`) and the Python package's exception.
//! `Outcome::into_result` and `Task::read`, which return one, are here, too.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::error_kind::ErrorKind;
use crate::gateway::call::CallResult;
use crate::gateway::origin::BaseUrl;
use crate::gateway::request_headers::InvalidHeader;
use crate::model::extra_params::InvalidParam;
use crate::model::request::{InvalidRequest, Violation};
use crate::printable::Escaping;
use crate::run::admission::OverBudget;
use crate::run::outcome::{
    Broken, Detached, Effect, Failed, Outcome, Refused, StillRunning, Unknown, status_line,
};
use crate::task_id::TaskId;
use crate::wire::answer::{Look, kind_of};
use crate::wire::body::TaskDetail;
use crate::wire::code::ServiceCode;
use crate::wire::exchange_error::{ExchangeError, Rejection};
use crate::wire::response_excerpt::ResponseExcerpt;
use crate::wire::task::Task;
use crate::wire::usage::Usage;

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
pub struct Error(Box<ErrorInner>);

#[derive(Clone, Debug, PartialEq)]
struct ErrorInner {
    cause: Cause,
    resume: Option<String>,
    /// What its task cost, where the cause does not tell it.
    usage: Option<Usage>,
    /// In place of [`status_line`].
    status_line: Option<String>,
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
    /// What, and the way out where that is not apart.
    pub message: String,
    /// What to do about it, where `message` does not say it.
    pub way_out: Option<String>,
    /// What was given and cannot be used: a parameter's name on the wire, or a column of a manifest.
    pub field: Option<&'static str>,
    /// The task it concerns, if one exists.
    pub task_id: Option<TaskId>,
    /// The exchange it went wrong in, if one did.
    pub error: Option<ExchangeError>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(error) = &self.error {
            write!(f, " ({error})")?;
        }
        match &self.way_out {
            Some(way_out) => write!(f, "; {way_out}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// An error of something beside a run.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Problem {
            kind,
            message: message.into(),
            way_out: None,
            field: None,
            task_id: None,
            error: None,
        }
        .into()
    }

    /// The same error of something beside a run, about what was given for this field.
    #[must_use]
    pub fn in_field(mut self, field: &'static str) -> Self {
        if let Cause::Problem(problem) = &mut self.0.cause {
            problem.field = Some(field);
        }
        self
    }

    /// The same error of something beside a run, with what to do about it.
    #[must_use]
    pub fn with_way_out(mut self, way_out: impl Into<String>) -> Self {
        if let Cause::Problem(problem) = &mut self.0.cause {
            problem.way_out = Some(way_out.into());
        }
        self
    }

    /// The same error, whose message does not say what to do, for who shows the [`way_out`](Self::way_out)
    /// apart.
    #[must_use]
    pub fn without_way_out(mut self) -> Self {
        if let Cause::Problem(problem) = &mut self.0.cause {
            problem.way_out = None;
        }
        self
    }

    /// The same error, with the line that resumes the task where it has one.
    #[must_use]
    pub fn with_resume_line(mut self, line: impl FnOnce(&TaskId) -> String) -> Self {
        // A verdict leaves nothing to wait for, and neither does the end of a recording; and what the service
        // does not know, it would not know again.
        let ends = matches!(self.kind(), ErrorKind::NotRecorded | ErrorKind::TaskNotFound);
        if !ends && !matches!(self.0.cause, Cause::Failed(_)) {
            self.0.resume = self.task_id().map(line);
        }
        self
    }

    /// The same error; where its message names a line that shows all of the service's answer about the task
    /// (`effects status ID --json`), it names what `line` makes of that instead.
    #[must_use]
    pub fn with_status_line(mut self, line: impl FnOnce(&str) -> String) -> Self {
        self.0.status_line = self.task_id().map(|task| line(&status_line(task)));
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

    /// The same error, of a task that cost this: one that is done and whose picture could not be had, or of
    /// which a journal tells.
    #[must_use]
    pub fn billed(mut self, usage: Usage) -> Self {
        self.0.usage = Some(usage);
        self
    }

    /// The same error, of a recording that is replayed: its message says that nothing is paid and no task
    /// goes on.
    #[must_use]
    pub fn replayed(mut self) -> Self {
        match &mut self.0.cause {
            Cause::Failed(failed) => failed.is_replayed = true,
            Cause::Unknown(unknown) => unknown.is_replayed = true,
            Cause::StillRunning(still) => still.is_replayed = true,
            Cause::Detached(detached) => detached.is_replayed = true,
            Cause::Broken(broken) => broken.is_replayed = true,
            Cause::Invalid(_) | Cause::Refused(_) | Cause::Problem(_) => {}
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

    /// What its task cost, as far as it is known: a task that failed may have a bill, and so has one whose
    /// picture could not be fetched.
    pub fn usage(&self) -> Option<&Usage> {
        match &self.0.cause {
            Cause::Failed(Failed { usage: Some(usage), .. }) => Some(usage),
            _ => self.0.usage.as_ref(),
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
        match self.exchange_error() {
            Some(error) => error.status(),
            // A failed task has no exchange error: the answer that showed its end was a good one.
            None => self.response().map(|response| response.status),
        }
    }

    /// What is kept of the HTTP response it is about: its headers and the beginning of its body, without
    /// the key.
    pub fn response(&self) -> Option<&ResponseExcerpt> {
        match &self.0.cause {
            Cause::Failed(failed) => failed.response.as_deref(),
            _ => self.exchange_error()?.response(),
        }
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
            _ => match self.rejection() {
                Some(rejection) => rejection.request_id.as_deref(),
                None => self.response()?.request_id.as_deref(),
            },
        }
    }

    /// The exchange it went wrong in.
    pub fn exchange_error(&self) -> Option<&ExchangeError> {
        match &self.0.cause {
            Cause::Refused(refused) => Some(&refused.error),
            Cause::Unknown(unknown) => Some(&unknown.error),
            Cause::StillRunning(still) => still.error.as_ref(),
            Cause::Broken(broken) => Some(&broken.error),
            Cause::Problem(problem) => problem.error.as_ref(),
            Cause::Invalid(_) | Cause::Failed(_) | Cause::Detached(_) => None,
        }
    }

    /// Why the submission does not fit into a budget that a journal keeps.
    pub fn over_budget(&self) -> Option<&OverBudget> {
        match &self.0.cause {
            Cause::Refused(refused) => refused.over_budget.as_ref(),
            _ => None,
        }
    }

    /// What was given and cannot be used, where it is an error of something beside a run that knows: a
    /// parameter's name on the wire, or a column of a manifest.
    pub fn field(&self) -> Option<&'static str> {
        match &self.0.cause {
            Cause::Problem(problem) => problem.field,
            _ => None,
        }
    }

    /// What to do about it, where it is an error of something beside a run that has it apart. Its message,
    /// shown, ends with it.
    pub fn way_out(&self) -> Option<&str> {
        match &self.0.cause {
            Cause::Problem(problem) => problem.way_out.as_deref(),
            _ => None,
        }
    }

    /// The command line that resumes the task, where there is one to resume.
    pub fn resume_line(&self) -> Option<&str> {
        self.0.resume.as_deref()
    }

    fn rejection(&self) -> Option<&Rejection> {
        self.exchange_error()?.rejection()
    }
}

/// In words, on one line: what came from outside is escaped as by
/// [`printable`](crate::printable()), since the words of an error end up on terminals.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Escaping::new(f);
        let status_line = self.0.status_line.as_deref();
        match &self.0.cause {
            Cause::Invalid(invalid) => write!(f, "{invalid}")?,
            Cause::Refused(refused) => write!(f, "{refused}")?,
            Cause::Failed(failed) => write!(f, "{}", failed.naming(status_line))?,
            Cause::Unknown(unknown) => write!(f, "{unknown}")?,
            Cause::StillRunning(still) => write!(f, "{}", still.naming(status_line))?,
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
        Self(Box::new(ErrorInner { cause, resume: None, usage: None, status_line: None }))
    }
}

impl From<InvalidRequest> for Error {
    fn from(invalid: InvalidRequest) -> Self {
        Cause::Invalid(invalid).into()
    }
}

impl From<InvalidParam> for Error {
    fn from(invalid: InvalidParam) -> Self {
        Self::new(ErrorKind::InvalidRequest, invalid.to_string())
    }
}

impl From<InvalidHeader> for Error {
    fn from(invalid: InvalidHeader) -> Self {
        Self::new(ErrorKind::Misconfigured, invalid.to_string())
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

impl Task {
    /// Reads the answer of a gateway to one look at a task, outside any run.
    ///
    /// # Errors
    ///
    /// What this one answer says: the task is not found, the look is refused, the service cannot be
    /// reached or understood. A run looks again after most of that.
    pub fn read(task: &TaskId, gateway: &BaseUrl, result: &CallResult) -> Result<Self, Error> {
        let (kind, error) = match Look::read(task, result.as_reply(), TaskDetail::Full) {
            Look::Seen(task) => {
                let pictures = task.pictures.into_iter();
                // Links are made whole here, since what decodes an answer does not know the
                // gateway.
                let pictures = pictures.filter_map(|picture| picture.at(Some(gateway))).collect();
                return Ok(Self { pictures, response: result.response(), ..*task });
            }
            Look::NotFound(error) => (ErrorKind::TaskNotFound, error),
            Look::Barred(kind, error) | Look::Refused(kind, error) => (kind, error),
            Look::Again(error) => (kind_of(&error), error),
        };
        let task_id = task.clone();
        Err(Cause::Broken(Broken { task_id, kind, error, is_replayed: false }).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_and_crosses_threads() {
        fn crosses<T: Send + Sync + std::panic::UnwindSafe + 'static>() {}
        crosses::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
