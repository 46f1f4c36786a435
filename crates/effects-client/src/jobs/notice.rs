//! [`JobNotice`]: an event of a job that a caller hears of before the result: its run begins, its task is
//! billed, submissions are held back, and the like. `JobContext` and both clients' job drivers report it to
//! the callback of `Jobs::on_notice`, which the command and Rust programs set, or of `JobOptions`, which
//! the Python package sets. [`JobJournals`]: wraps a caller's own journals around those of the async
//! client's jobs; the Python package (`many.rs`) gives one.

use std::sync::Arc;

use effects_core::batch::Outage;
use effects_core::journal::AsyncJournal;
use effects_core::{Error, Event, TaskId};
use effects_jobs::Method;
use rust_decimal::Decimal;

/// Something that happens to a job on its way.
#[derive(Clone, Debug)]
pub enum JobNotice {
    /// Its run begins.
    Begun {
        /// The job's place among the jobs.
        index: usize,
        /// How it gets its picture.
        method: Method,
        /// Its task, if it has one already.
        task: Option<TaskId>,
    },
    /// Its task failed, and it is paid for anew.
    Renewing {
        /// The job's place among the jobs.
        index: usize,
        /// How the task failed.
        error: Error,
    },
    /// An event of its run, or of the download of its picture.
    Event {
        /// The job's place among the jobs.
        index: usize,
        /// Whether it is the download's.
        is_download: bool,
        /// The event.
        event: Event,
    },
    /// Its task ended and says what it cost.
    Billed {
        /// The job's place among the jobs.
        index: usize,
        /// How it got its task.
        method: Method,
        /// What it cost, in USD.
        cost: Decimal,
    },
    /// Submissions are held back, since they do not reach the gateway or it does not answer them.
    Outage {
        /// Why, and since when.
        outage: Outage,
    },
    /// A picture is kept although it was changed since it was saved.
    Kept {
        /// The job's place among the jobs.
        index: usize,
        /// What to say of it.
        warning: String,
    },
}

/// Makes a journal of the caller's around that of each job's run: for a caller that has to know of their
/// submissions and tasks before their results come.
pub trait JobJournals: Send + Sync {
    /// The journal of a job's run, which passes entries on to `inner`.
    fn journal(&self, index: usize, inner: Option<Arc<dyn AsyncJournal>>) -> Arc<dyn AsyncJournal>;
}
