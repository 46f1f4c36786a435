//! [`Outcome`]: how a run ends, with all that is known of it: [`Effect`], the good end with pictures and
//! bill, or one of six others, such as [`Failed`] and [`Unknown`]. Drivers and `Batch` return it.
//! `into_result` makes an `Effect` or an `Error` of it, for the clients, `JobMachine`, `effects doctor`,
//! the Python package and programs that drive runs; a journal keeps a part of it (`RowOutcome`).

use std::fmt;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::count::count_of;
use crate::error_kind::ErrorKind;
use crate::gateway::call::Reply;
use crate::gateway::origin::shell_word;
use crate::run::admission::OverBudget;
use crate::run::task_bill::TaskBill;
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::body::sent_output;
use crate::wire::exchange_error::ExchangeError;
use crate::wire::picture::Picture;
use crate::wire::raw::RawJson;
use crate::wire::response_excerpt::ResponseExcerpt;
use crate::wire::task::{ServiceError, Status};
use crate::wire::usage::Usage;

/// How a run ends. [`into_result`](Self::into_result) makes an effect or an error of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The task is done and has a picture.
    Completed(Box<Effect>),
    /// No task was made; nothing is billed.
    Refused(Refused),
    /// The task is over and has no picture.
    Failed(Failed),
    /// A submission's answer is lost: the task may exist and may be billed.
    Unknown(Unknown),
    /// The wait is over, the task is not. It goes on, and so does its bill.
    StillRunning(StillRunning),
    /// The run was told to stop watching. A task, if there is one, goes on.
    Detached(Detached),
    /// The task exists, or did, but the service would not show it.
    Broken(Broken),
}

impl Outcome {
    /// The task, where one is known.
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Completed(effect) => Some(&effect.task_id),
            Self::Failed(failed) => Some(&failed.task_id),
            Self::StillRunning(still) => Some(&still.task_id),
            Self::Broken(broken) => Some(&broken.task_id),
            Self::Detached(detached) => detached.task_id.as_ref(),
            Self::Refused(_) | Self::Unknown(_) => None,
        }
    }

    /// The same, which this answer showed.
    pub(super) fn shown_by(mut self, reply: Reply<'_>) -> Self {
        let Reply::Answer { status, headers, body } = reply else { return self };
        match &mut self {
            Self::Completed(effect) => {
                effect.response = Some(ResponseExcerpt::without_body(status, headers, body));
            }
            Self::Failed(failed) => {
                failed.response = Some(ResponseExcerpt::with_body(status, headers, body));
            }
            _ => {}
        }
        self
    }

    /// Whether later looks at the task could show nothing else.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_))
    }
}

/// A finished task: its pictures and its bill.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// The task that made it.
    pub task_id: TaskId,
    /// The pictures; never empty, usually one.
    pub pictures: Vec<Picture>,
    /// What it cost, as far as the service said.
    pub usage: Usage,
    /// The service's own notes on the task.
    pub metadata: Option<RawJson>,
    /// An error the service reported beside a usable picture.
    pub warning: Option<ServiceError>,
    /// The whole answer, as the service wrote it.
    pub raw: RawJson,
    /// The HTTP response that showed it, without its body; `None` where a journal told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<ResponseExcerpt>>,
}

impl Effect {
    /// The service's name for the exchange that showed it, for the service's support.
    pub fn request_id(&self) -> Option<&str> {
        self.response.as_ref()?.request_id.as_deref()
    }

    /// What a journal keeps of an effect: its task, its pictures' links and its cost. The service's
    /// notes are not kept, and `raw` is `{}`.
    pub fn kept<'a>(
        task_id: &TaskId,
        urls: impl IntoIterator<Item = &'a str>,
        cost: Option<Decimal>,
    ) -> Self {
        let picture = |url: &str| Picture {
            task_id: task_id.clone(),
            url: url.to_owned(),
            size: None,
            job_id: None,
        };
        Self {
            task_id: task_id.clone(),
            pictures: urls.into_iter().map(picture).collect(),
            usage: Usage::of_cost(cost),
            metadata: None,
            warning: None,
            raw: RawJson::empty(),
            response: None,
        }
    }
}

/// No task was made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Refused {
    /// What kind of refusal it is.
    pub kind: ErrorKind,
    /// The answer, or the lack of one.
    #[serde(rename = "trouble")]
    pub error: ExchangeError,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it does not fit into a budget, where the kind is [`ErrorKind::BudgetExceeded`] and a journal
    /// said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_budget: Option<OverBudget>,
}

impl Refused {
    /// No task was made, and no budget is the reason.
    pub(crate) fn new(kind: ErrorKind, error: ExchangeError, attempts: u32) -> Self {
        Self { kind, error, attempts, over_budget: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::KeyRefused => f.write_str("the key was refused")?,
            ErrorKind::Forbidden => f.write_str("the key may not do this")?,
            ErrorKind::OutOfCredit => f.write_str("the account is out of credit")?,
            ErrorKind::NoSuchEndpoint => f.write_str("the base URL is not the gateway's")?,
            ErrorKind::Redirected => {
                f.write_str("the base URL redirects elsewhere, and the key is not sent there")?;
            }
            ErrorKind::RateLimited => f.write_str("the service throttles")?,
            ErrorKind::Transport => f.write_str("the service cannot be reached")?,
            ErrorKind::NotRecorded => return write!(f, "{}; {NOTHING_OWED}", self.error),
            ErrorKind::BudgetExceeded => f.write_str("the budget does not allow it")?,
            ErrorKind::DeadlineExceeded => f.write_str("the deadline is over")?,
            ErrorKind::NoPicture => f.write_str("the batch pays for nothing more")?,
            _ => f.write_str("the request was refused")?,
        }
        match self.kind {
            // There is no more to say of one that was never tried.
            ErrorKind::DeadlineExceeded if self.attempts == 0 => {}
            _ => write!(f, " ({})", self.error)?,
        }
        if self.attempts > 1 {
            write!(f, " after {}", count_of(self.attempts.into(), "attempt"))?;
        }
        f.write_str("; no task was made and nothing is billed")?;
        f.write_str(match self.kind {
            ErrorKind::KeyRefused => ": give a key of the service's API key page",
            ErrorKind::OutOfCredit => ": add credit to the account",
            ErrorKind::NoSuchEndpoint => ": check the base URL",
            ErrorKind::RateLimited => ": try again later",
            ErrorKind::Transport => ": check the network, the proxy and the base URL",
            // Not the service's answer: a proxy that passes requests on says so.
            _ if self.error.status() == Some(407) => {
                ": a proxy wants a user name and password: give USER:PASSWORD@ before the host in its URL"
            }
            // A photo inside the request, or the limit of a proxy in between.
            _ if self.error.status() == Some(413) => {
                ": the request is too large: make the photo smaller, or give a URL of it"
            }
            _ => "",
        })
    }
}

/// The task is over and has no picture.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Failed {
    /// The task.
    pub task_id: TaskId,
    /// [`ErrorKind::TaskFailed`], or [`ErrorKind::NoPicture`] where it claims to be completed.
    pub kind: ErrorKind,
    /// The service's reason.
    pub error: Option<ServiceError>,
    /// What it cost, as far as the service said.
    pub usage: Option<Usage>,
    /// The whole answer, as the service wrote it.
    pub raw: RawJson,
    /// The HTTP response that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<ResponseExcerpt>>,
    /// Whether a recording is replayed, so that its cost is of when it was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
}

impl Failed {
    /// What happened, without what it means for the money.
    pub(crate) fn reason(&self) -> String {
        self.reason_naming(None)
    }

    fn reason_naming(&self, line: Option<&str>) -> String {
        if self.kind == ErrorKind::NoPicture {
            return format!(
                "task {} is completed, and no picture was found in what the service sent ({}); see all \
                 of it with: {}",
                self.task_id,
                sent_output(&self.raw),
                line.map_or_else(|| status_line(&self.task_id), str::to_owned)
            );
        }
        let reason = self.error.as_ref().map(ServiceError::to_string);
        format!("task {} failed: {}", self.task_id, reason.as_deref().unwrap_or("no reason given"))
    }

    /// Its message, with this line where it names one that shows all of the service's answer.
    pub(crate) fn naming(&self, line: Option<&str>) -> String {
        let without = match self.kind {
            ErrorKind::NoPicture => TaskBill::NotTold,
            _ => TaskBill::NotBilled,
        };
        let bill = TaskBill::of_usage(self.usage.as_ref(), without).replayed_if(self.is_replayed);
        format!("{}; {bill}", self.reason_naming(line))
    }
}

/// The line that shows all of the service's answer about a task.
pub(crate) fn status_line(task: &TaskId) -> String {
    format!("effects status {} --json", shell_word(task.as_str()))
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.naming(None))
    }
}

/// A submission whose fate the run does not know: a task may exist.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Unknown {
    /// The `X-Request-Id` it was sent with, for the service's support.
    pub request_id: String,
    /// The `Idempotency-Key` it was sent with.
    pub idempotency_key: String,
    /// When it was sent.
    pub sent_at: Time,
    /// What became of it, as far as is known.
    #[serde(rename = "trouble")]
    pub error: ExchangeError,
    /// Whether a recording is replayed, so that all of this was so when it was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_replayed {
            return write!(
                f,
                "when it was recorded, the outcome of the submission was unknown ({}); this is a replay, in \
                 which nothing leaves this machine and nothing is billed",
                self.error
            );
        }
        write!(
            f,
            "the outcome of the submission is unknown ({}): the task may exist and may be billed, \
             so it is not sent again by itself; it left at {} with X-Request-Id {} and Idempotency-Key {}, \
             by which the service's support may find it",
            self.error, self.sent_at, self.request_id, self.idempotency_key
        )
    }
}

/// The wait is over, the task is not.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StillRunning {
    /// The task.
    pub task_id: TaskId,
    /// What it was last seen as.
    pub status: Option<Status>,
    /// How far it last said it was, `0.0..=1.0`.
    pub progress: Option<f64>,
    /// How long it was watched.
    pub waited: Duration,
    /// What went wrong with the last look, if it did.
    #[serde(rename = "trouble")]
    pub error: Option<ExchangeError>,
    /// Whether a recording is replayed, so that the task was running when it was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
}

impl StillRunning {
    /// Its message, with this line where it names one that shows all of the service's answer.
    pub(crate) fn naming(&self, line: Option<&str>) -> String {
        let (task, waited) = (&self.task_id, self.waited.as_secs_f64());
        let bill = |bill: TaskBill| bill.replayed_if(self.is_replayed);
        let over = if self.is_replayed { "the wait is over;" } else { "the wait is over," };
        let mut message = match &self.status {
            // Its message is all that a caller of `run` may see of the word.
            Some(word) if word.looks_final() => format!(
                "task {task} is not known to be over after {waited:.1} s: the service calls it {:?}, an \
                 unknown word that may mean that it is; see all of its answer with: {}; the wait is over; {}",
                word.as_str(),
                line.map_or_else(|| status_line(task), str::to_owned),
                bill(TaskBill::NotKnown)
            ),
            // The last answer was a 404: that the task goes on and will be billed is not known
            // then.
            _ if self.error.as_ref().is_some_and(ExchangeError::is_not_found) => format!(
                "task {task} has no verdict after {waited:.1} s, and the service does not show it; {over} {}",
                bill(TaskBill::NotKnown)
            ),
            status => {
                let word = match status {
                    Some(Status::Unknown(word)) => format!(", as {word:?}"),
                    _ => String::new(),
                };
                let progress = self.progress.map(|share| format!(", at {:.0} %", share * 100.0));
                let (progress, bill) = (progress.unwrap_or_default(), bill(TaskBill::OnCompletion));
                // The wait of a replay is not the one that was recorded.
                let running = match self.is_replayed {
                    true => format!("when it was recorded, task {task} was still running"),
                    false => format!("task {task} is still running after {waited:.1} s"),
                };
                format!("{running}{word}{progress}; {over} {bill}")
            }
        };
        if let Some(error) = &self.error {
            message.push_str(&format!(" (the last look: {error})"));
        }
        message
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.naming(None))
    }
}

/// What to know and to do where a recording that is replayed has no such exchange.
pub const NOTHING_OWED: &str = "nothing was sent and nothing is owed: record again into another file, or \
                                leave the cassette out";

/// The run was told to stop watching.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Detached {
    /// The task that goes on; `None` if nothing was submitted.
    pub task_id: Option<TaskId>,
    /// Whether the service has shown the task, by its answer to the submission or to a look, and the last
    /// look did not miss it.
    #[serde(default)]
    pub is_shown: bool,
    /// Whether a recording is replayed, so that no task goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
}

impl Detached {
    /// Nothing was submitted, which is nothing to pay anywhere, in a replay too.
    pub fn before_submission() -> Self {
        Self { task_id: None, is_shown: false, is_replayed: false }
    }
}

impl fmt::Display for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task_id {
            // Whether its recording shows the task says nothing of any money.
            Some(task) if self.is_shown || self.is_replayed => {
                let bill = TaskBill::OnCompletion.replayed_if(self.is_replayed);
                write!(f, "stopped watching task {task}; {bill}")
            }
            Some(task) => write!(
                f,
                "stopped watching task {task}, which the service did not show; {}",
                TaskBill::NotKnown
            ),
            None => f.write_str("stopped before anything was submitted; nothing is billed"),
        }
    }
}

/// The service would not show the task.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Broken {
    /// The task.
    pub task_id: TaskId,
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// The answer, or the lack of one.
    #[serde(rename = "trouble")]
    pub error: ExchangeError,
    /// Whether a recording is replayed, so that it was so when it was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = &self.task_id;
        match self.kind {
            ErrorKind::NotRecorded => {
                return write!(f, "task {task}: {}; {NOTHING_OWED}", self.error);
            }
            ErrorKind::KeyRefused => write!(f, "the key was refused while looking at task {task}")?,
            ErrorKind::Forbidden => write!(f, "the key may not look at task {task}")?,
            ErrorKind::OutOfCredit => {
                write!(f, "the account is out of credit, says the service of task {task}")?;
            }
            ErrorKind::TaskNotFound => write!(f, "the service knows no task {task}")?,
            _ => write!(f, "task {task} could not be looked at")?,
        }
        write!(f, " ({})", self.error)?;
        match self.kind {
            _ if self.is_replayed => {
                write!(f, "; {}", TaskBill::OnCompletion.replayed_if(true))
            }
            ErrorKind::TaskNotFound => write!(
                f,
                "; check its id, the base URL, and whose key it is; {}",
                TaskBill::NotKnown
            ),
            _ => write!(f, "; {}", TaskBill::OnCompletion),
        }
    }
}
