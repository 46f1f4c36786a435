//! [`Failure`]: why a command failed, with what it prints and its exit code. Each command that fails
//! returns it; `commands::main` prints it by `Output::failure`, with `--json` as an [`ErrorObject`], and
//! `effects doctor` makes failed checks of some. [`EXIT_CODES`] says what each code means, for
//! `help_json.rs`; [`UNFORESEEN`] is the code of bugs, for `lib.rs` too.

use std::fmt;
use std::io;

use effects_core::journal::RowNumber;
use effects_core::run::Detached;
use effects_core::{Cause, Error, ErrorKind, ServiceCode, TaskId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::gateway_location::GatewayLocation;
use crate::problem::{InputProblem, Problems};
use crate::rerun_line::{gateway_line, resolve_lines, task_line};
use crate::response_object::ResponseObject;
use crate::submission_tracker::{Intent, SubmissionState};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be; nothing was sent.
    Invalid(Problems),
    /// The library's own error.
    Error(Error),
    /// A submission of unknown outcome, which is this row of the journal.
    Doubtful(Error, RowNumber),
    /// A second signal ended the command while a submission was on its way.
    LeftInFlight {
        intent: Intent,
        /// Its row of the journal, if that has it.
        row: Option<RowNumber>,
        /// Whether it was one of a recording that is replayed.
        is_replayed: bool,
    },
    /// The system refused something that hardly ever fails, such as a thread.
    Unforeseen(String),
}

/// Every exit code, and what it means.
pub(crate) const EXIT_CODES: [(u8, &str); 11] = [
    (0, "done"),
    (1, "bug, or something unforeseen"),
    (2, "bad input or a refused request; nothing is billed"),
    (3, "the key is missing or refused"),
    (4, "the task failed, is not found, or has no picture"),
    (5, "still running when the wait ended"),
    (6, "out of credit or budget"),
    (7, "network or download"),
    (8, "outcome unknown: the task may exist and may be billed"),
    (9, "throttled to the end"),
    (130, "interrupted"),
];

/// The exit code of bugs and of unforeseen errors; every other stands in [`ErrorKind::TABLE`].
pub(crate) const UNFORESEEN: u8 = 1;

impl Failure {
    /// What an interruption left behind; `row` is the submission's row of the journal, `is_shown` says
    /// whether the service has shown the task.
    pub(crate) fn interrupted(
        submission: SubmissionState,
        row: Option<RowNumber>,
        is_shown: bool,
        location: &GatewayLocation,
    ) -> Self {
        let is_replayed = location.is_replay();
        let detached =
            |task_id| Error::from(Cause::Detached(Detached { task_id, is_shown, is_replayed }));
        match submission {
            // The answer is lost with this process; the names it was sent with are all that finds the task.
            SubmissionState::InFlight(intent) => Self::LeftInFlight { intent, row, is_replayed },
            SubmissionState::Nothing(None) => Self::Error(detached(None)),
            SubmissionState::Nothing(Some(reason)) => Self::Error(Error::new(
                ErrorKind::Detached,
                format!("stopped; the submission made no task ({reason}), so nothing is billed"),
            )),
            SubmissionState::Made(task) => {
                let line = location.resume_line(&task);
                let error = detached(Some(task));
                Self::Error(match line {
                    Some(line) => error.with_resume_line(|_| line),
                    None => error,
                })
            }
        }
    }

    /// The system refused a thread, a signal handler, an output.
    #[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
    pub(crate) fn system(error: io::Error) -> Self {
        Self::Unforeseen(error.to_string())
    }

    /// The same failure, without the line that resumes the task where the gateway ends with this command.
    pub(crate) fn at(self, location: &GatewayLocation) -> Self {
        match (self, location) {
            // The line is part of the error and not of its cause, so an error made of the cause has none.
            (Self::Error(error), GatewayLocation::Inside) => {
                Self::Error(error.cause().clone().into())
            }
            (failure, _) => failure,
        }
    }

    /// The same failure, whose line that resumes the task finds the key where this command did, and puts
    /// picture and end where this command would have.
    pub(crate) fn with_given_options(self) -> Self {
        match self {
            Self::Error(error) if error.resume_line().is_some() => {
                let line = task_line(error.resume_line().unwrap_or_default());
                Self::Error(error.with_resume_line(|_| line))
            }
            failure => failure,
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.kind().map_or(UNFORESEEN, ErrorKind::exit_code)
    }

    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Invalid(problems) => Some(problems.kind()),
            Self::Error(error) | Self::Doubtful(error, _) => Some(error.kind()),
            // Left on purpose, so it ends as an interruption (130) and not as a lost answer (8).
            Self::LeftInFlight { .. } => Some(ErrorKind::Detached),
            Self::Unforeseen(_) => None,
        }
    }

    /// What `--json` prints of it.
    pub(crate) fn object(&self) -> ErrorObject<'_> {
        let mut object = ErrorObject::new(self.kind(), self.to_string());
        match self {
            Self::Invalid(problems) => {
                object.code = problems.list().iter().find_map(|problem| problem.code.as_ref());
                object.problems = problems.list();
            }
            Self::Error(error) | Self::Doubtful(error, _) => object.add_error(error),
            Self::LeftInFlight { intent, .. } => {
                object.request_id = Some(&intent.request_id);
                object.idempotency_key = Some(&intent.idempotency_key);
            }
            Self::Unforeseen(_) => {}
        }
        object
    }

    /// What a person reads: a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Invalid(problems) => {
                problems.list().iter().map(InputProblem::to_string).collect()
            }
            // With the line that resumes the task.
            Self::Error(error) => vec![error.clone().with_status_line(gateway_line).to_string()],
            _ => vec![self.to_string()],
        }
    }
}

/// Without the line that resumes the task, which JSON has in a field of its own.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => problems.fmt(f),
            Self::Error(error) => {
                let error = Error::from(error.cause().clone()).with_status_line(gateway_line);
                write!(f, "{error}")
            }
            Self::Doubtful(error, row) => {
                write!(f, "{}{}", Error::from(error.cause().clone()), row_to_resolve(*row))
            }
            // No row to resolve: the same replay again goes on with it.
            Self::LeftInFlight { is_replayed: true, .. } => f.write_str(
                "left while the submission was on its way; this is a replay, in which nothing leaves this \
                 machine and nothing is billed",
            ),
            Self::LeftInFlight { intent, row, is_replayed: false } => write!(
                f,
                "left while the submission was on its way: the task may exist and may be billed; \
                 the service's support may find it by X-Request-Id {} and Idempotency-Key {}{}",
                intent.request_id,
                intent.idempotency_key,
                row.map(row_to_resolve).unwrap_or_default()
            ),
            Self::Unforeseen(what) => f.write_str(what),
        }
    }
}

/// What to do about a row of unknown outcome, after what happened to it.
fn row_to_resolve(row: RowNumber) -> String {
    format!(
        "; it is row {row} of the journal: find out what became of it, and then {}",
        resolve_lines(row)
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// An error with `--json`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorObject<'a> {
    schema: &'static str,
    kind: &'static str,
    exit_code: u8,
    message: String,
    #[schema(value_type = Option<String>)]
    task_id: Option<&'a TaskId>,
    resume: Option<&'a str>,
    #[schema(value_type = Option<String>)]
    code: Option<&'a ServiceCode>,
    status: Option<u16>,
    /// Seconds.
    retry_after: Option<f64>,
    request_id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    /// What is kept of the answer it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseObject>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<InputProblem>)]
    problems: &'a [InputProblem],
}

impl<'a> ErrorObject<'a> {
    fn new(kind: Option<ErrorKind>, message: String) -> Self {
        Self {
            schema: "effects.error.v1",
            kind: kind.map_or("unforeseen", ErrorKind::name),
            exit_code: kind.map_or(UNFORESEEN, ErrorKind::exit_code),
            message,
            task_id: None,
            resume: None,
            code: None,
            status: None,
            retry_after: None,
            request_id: None,
            idempotency_key: None,
            response: None,
            problems: &[],
        }
    }

    /// A command line that cannot be read.
    pub(crate) fn of_usage(message: String) -> Self {
        Self::new(Some(ErrorKind::Misconfigured), message)
    }

    fn add_error(&mut self, error: &'a Error) {
        self.task_id = error.task_id();
        self.resume = error.resume_line();
        self.code = error.code();
        self.status = error.status();
        self.retry_after = error.retry_after().map(|after| after.as_secs_f64());
        self.request_id = error.request_id();
        self.response = error.response().map(ResponseObject::from);
        if let Cause::Unknown(unknown) = error.cause() {
            self.idempotency_key = Some(&unknown.idempotency_key);
        }
    }
}
