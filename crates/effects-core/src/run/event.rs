//! [`Event`]: what a run or a download reports while it goes on: the task's id, each poll that showed it
//! running, each retry, warnings. `Run` gives events to its driver, a `Download` of `effects-jobs` to its
//! client; both clients pass them to their caller (`Watch`, `on_event`) and to tracing (`telemetry.rs` of
//! `effects-client`). The command shows them as progress, and the Python package as events and warnings.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::pace::Eta;
use crate::printable::Escaping;
use crate::task_id::TaskId;
use crate::wire::exchange_error::ExchangeError;
use crate::wire::task::Status;

/// What a run tells a caller that watches it. More may come with time, so a match needs an arm for
/// the rest; nothing here has to be acted on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// The service accepted the submission: from here on there is a task, and a bill.
    Submitted {
        /// The new task.
        task_id: TaskId,
    },
    /// A look showed the task running.
    Running {
        /// The task.
        task_id: TaskId,
        /// What it says it is.
        status: Option<Status>,
        /// How far it says it is, `0.0..=1.0`.
        progress: Option<f64>,
        /// How long ago it was made, as far as is known.
        age: Duration,
        /// How long it will take in all, as tasks of its kind did; `None` where that is not known.
        eta: Option<Eta>,
    },
    /// An exchange went wrong and is repeated after a wait.
    Retrying {
        /// The task, if there is one yet.
        task_id: Option<TaskId>,
        /// What went wrong.
        #[serde(rename = "trouble")]
        error: ExchangeError,
        /// The wait.
        after: Duration,
    },
    /// The download of a picture went wrong and is repeated after a wait.
    DownloadRetrying {
        /// The task that made the picture.
        task_id: TaskId,
        /// What went wrong.
        #[serde(rename = "trouble")]
        error: ExchangeError,
        /// The wait.
        after: Duration,
    },
    /// The service used a status word that this library does not know; the task is taken to be running.
    /// Reported once.
    UnknownStatus {
        /// The task.
        task_id: TaskId,
        /// The word.
        word: Status,
    },
    /// Something is odd but does no harm.
    Warning {
        /// What.
        message: String,
    },
    /// A submission that was given up for lost made a task after all, beside the one being
    /// watched: both may be billed. Happens with [`Repeat::Always`](crate::Repeat::Always) alone.
    SecondTask {
        /// The task that is not being watched.
        task_id: TaskId,
    },
}

/// In words, with what the service wrote escaped as by [`printable`](crate::printable()).
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Escaping::new(f);
        match self {
            Self::Submitted { task_id } => write!(f, "task {task_id} submitted"),
            Self::Running { task_id, status, progress, age, eta } => {
                let word = status.as_ref().map_or("running", Status::as_str);
                write!(f, "task {task_id} {word}")?;
                if let Some(progress) = progress {
                    write!(f, ", {:.0} %", progress * 100.0)?;
                }
                write!(f, ", {:.1} s", age.as_secs_f64())?;
                match eta {
                    Some(eta) => write!(f, " ({eta})"),
                    None => Ok(()),
                }
            }
            Self::Retrying { task_id, error, after } => {
                match task_id {
                    Some(task) => write!(f, "looking at task {task} again")?,
                    None => f.write_str("submitting again")?,
                }
                write!(f, " in {:.1} s: {error}", after.as_secs_f64())
            }
            Self::DownloadRetrying { task_id, error, after } => write!(
                f,
                "downloading the picture of task {task_id} again in {:.1} s: {error}",
                after.as_secs_f64()
            ),
            Self::UnknownStatus { task_id, word: status } => {
                let word = status.as_str();
                write!(f, "task {task_id} has the unknown status {word:?}")?;
                f.write_str(match status.looks_final() {
                    true => ", which may mean that it is over; it is looked at until the wait ends",
                    false => "; taken as running",
                })
            }
            Self::Warning { message } => f.write_str(message),
            Self::SecondTask { task_id } => {
                write!(f, "a lost submission made task {task_id} after all; it may be billed too")
            }
        }
    }
}
