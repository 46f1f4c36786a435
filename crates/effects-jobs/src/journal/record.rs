//! [`Record`]: what a journal knows of a row: what was asked for, how it stands ([`RowState`]), its
//! pictures ([`PictureRecord`]), its cost, and the process that has it in hand. A
//! [`JournalStore`](super::JournalStore) returns it. `JournalSession` and `JobMachine` decide by it how
//! to go on with a row; the command's batches, `tasks`, `resolve`, `resume` and `reorder` read and show
//! it, and so does the Python package.

use std::fmt;
use std::path::PathBuf;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::journal::row::Row;
use effects_core::journal::{RowNumber, RowOutcome};
use effects_core::signed_url;
use effects_core::{Effect, ServiceCode, TaskId, Time};

/// What the journal knows of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its number.
    pub number: RowNumber,
    /// What is wanted.
    pub row: Row,
    /// Where it stands.
    pub state: RowState,
    /// When it was begun: its first intent.
    pub begun: Time,
    /// When it last changed.
    pub changed: Time,
    /// How many new tasks were submitted for it after a failed one.
    pub renewals: u32,
    /// What all its tasks cost, in USD, as far as the service said: the failed ones that were
    /// replaced too.
    pub paid: Decimal,
    /// Which process has it in hand, as far as can be told; `None` if none has.
    pub holder: Option<Holder>,
    /// The completed task whose picture is paid for, as [`RowState::Completed`], while a new order of the
    /// row is under way or in doubt: it is the row's again where the new order comes to no picture.
    pub paid_picture: Option<Box<RowState>>,
    /// The last new order that failed and left the row its completed task, as [`RowState::Failed`].
    pub failed_order: Option<Box<RowState>>,
}

impl Record {
    /// Why the row is left to the process that has it, in words: for one that is submitted or followed.
    pub fn why_left(&self) -> String {
        let holder = self.holder.as_ref().map_or("another run".to_owned(), ToString::to_string);
        match self.state.task() {
            Some(_) => format!(
                "its task is waited for by {holder} and is paid for once: run the same again later to see \
                 its end"
            ),
            None => format!(
                "it is being submitted by {holder}, so that nothing was sent for it here: run the same \
                 again later to see what became of it"
            ),
        }
    }
}

/// The process that has a row in hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub process: u32,
    /// Whether it is this very store that asks.
    pub ours: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// Where a row stands. A row the journal does not know is not begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowState {
    /// A submission is about to leave, or has left; its owner is there and awaits the answer.
    Intent {
        /// The attempts whose fate is open; usually one.
        attempts: Vec<Attempt>,
    },
    /// A submission may have made a task, and no process is left that will know: a person has to find
    /// out.
    Doubtful {
        /// The attempts whose fate is open, as the service's support may find them.
        attempts: Vec<Attempt>,
        /// What is known of it.
        reason: String,
    },
    /// There is a task without a verdict.
    Created {
        /// The task.
        task: TaskId,
        /// When it was submitted.
        submitted: Time,
    },
    /// The task is done.
    Completed {
        /// The task.
        task: TaskId,
        /// When it was submitted.
        submitted: Time,
        /// When its end was seen.
        finished: Time,
        /// What it cost, in USD, as far as the service said.
        cost: Option<Decimal>,
        /// Its pictures, in the service's order.
        pictures: Vec<PictureRecord>,
    },
    /// The task is over and has no picture.
    Failed {
        /// The task.
        task: TaskId,
        /// When it was submitted.
        submitted: Time,
        /// When its end was seen.
        finished: Time,
        /// The service's code, if it gave one.
        code: Option<ServiceCode>,
        /// The reason.
        message: String,
        /// What it cost, in USD, as far as the service said.
        cost: Option<Decimal>,
    },
    /// Nothing was made and nothing is billed: it can be submitted.
    Released {
        /// Why.
        reason: String,
    },
}

impl RowState {
    /// What a run came to whose row stands so; `None` where its task has no verdict.
    pub fn row_outcome(&self) -> Option<RowOutcome> {
        match self {
            Self::Completed { task, cost, pictures, .. } => Some(RowOutcome::Completed {
                task: task.clone(),
                cost: *cost,
                pictures: pictures.iter().map(|picture| picture.url.clone()).collect(),
            }),
            Self::Failed { task, code, message, cost, .. } => Some(RowOutcome::Failed {
                task: task.clone(),
                code: code.clone(),
                message: message.clone(),
                cost: *cost,
            }),
            _ => None,
        }
    }

    /// What its run came to, with the cost that another journal knows of the same task; `None` where the cost
    /// is known, or that journal does not know it either.
    pub fn outcome_with_cost_of(&self, elsewhere: &Self) -> Option<RowOutcome> {
        let is_missing = self.cost().is_none() && self.task() == elsewhere.task();
        let known = elsewhere.cost().filter(|_| is_missing)?;
        let mut end = self.row_outcome()?;
        if let RowOutcome::Completed { cost, .. } | RowOutcome::Failed { cost, .. } = &mut end {
            *cost = Some(known);
        }
        Some(end)
    }

    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Intent { .. } => "intent",
            Self::Doubtful { .. } => "doubtful",
            Self::Created { .. } => "created",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Released { .. } => "released",
        }
    }

    /// The task, where there is one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Created { task, .. }
            | Self::Completed { task, .. }
            | Self::Failed { task, .. } => Some(task),
            Self::Intent { .. } | Self::Doubtful { .. } | Self::Released { .. } => None,
        }
    }

    /// When its task was submitted, where there is one.
    pub fn submitted(&self) -> Option<Time> {
        match self {
            Self::Created { submitted, .. }
            | Self::Completed { submitted, .. }
            | Self::Failed { submitted, .. } => Some(*submitted),
            Self::Intent { .. } | Self::Doubtful { .. } | Self::Released { .. } => None,
        }
    }

    /// The submissions whose fate is open, where it is an intent or doubtful.
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            Self::Intent { attempts } | Self::Doubtful { attempts, .. } => attempts,
            _ => &[],
        }
    }

    /// What it cost, in USD, as far as that is known.
    pub fn cost(&self) -> Option<Decimal> {
        match self {
            Self::Completed { cost, .. } | Self::Failed { cost, .. } => *cost,
            _ => None,
        }
    }

    /// The effect, as far as it is kept: its task, its pictures' links and its cost. The service's notes
    /// are not, and `raw` is `{}`. `None` if it is not completed, or where a link is not kept whole:
    /// then a look at the task brings a fresh one.
    pub fn effect(&self) -> Option<Effect> {
        let Self::Completed { task, cost, pictures, .. } = self else { return None };
        if pictures.is_empty() || !pictures.iter().all(|picture| signed_url::is_whole(&picture.url))
        {
            return None;
        }
        Some(Effect::kept(task, pictures.iter().map(|picture| picture.url.as_str()), *cost))
    }

    /// Whether its task has a verdict: it is completed or failed.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. })
    }

    /// Whether it failed in a way in which a new task, which costs anew, may do better: the
    /// service's codes 3009095 to 3009099.
    pub fn may_be_renewed(&self) -> bool {
        matches!(self, Self::Failed { code: Some(code), .. } if code.may_pass())
    }
}

/// A submission that left, or was about to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attempt {
    /// Its `X-Request-Id`.
    pub request_id: String,
    /// Its `Idempotency-Key`.
    pub idempotency_key: String,
    /// When its intent was recorded.
    pub at: Time,
}

/// A picture of a completed row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PictureRecord {
    /// Its URL, without what could be a permission: where that was cut, and once the link has
    /// expired, a look at the task brings a fresh one.
    pub url: String,
    /// The file it was downloaded to.
    pub path: Option<PathBuf>,
    /// What the file had in it then; `None` where an earlier version saved it, or where it is no
    /// regular file.
    pub content: Option<SavedContent>,
}

/// What a file had in it when a picture was saved there: by this a later run tells whether the
/// picture is still in it.
///
/// ```
/// use effects_core::Time;
/// use effects_jobs::SavedContent;
///
/// let saved = SavedContent { size: 9, modified: Time::from_millis(1_000), digest: [7; 32] };
/// // The same bytes, copied elsewhere since: only the time differs.
/// let copied = SavedContent { modified: Time::from_millis(2_000), ..saved };
/// assert_ne!(saved, copied);
/// assert_eq!(saved.digest, copied.digest);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SavedContent {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last modified.
    pub modified: Time,
    /// The SHA-256 of its bytes.
    pub digest: [u8; 32],
}
