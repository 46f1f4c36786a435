//! [`ManyShared`]: the shared state of one `map` or `as_completed`: the permits to draw rows and begin
//! jobs, the open jobs (each an [`OpenJob`]), a `SubmissionNote` for each job whose result was not taken
//! yet, and the stop flag. [`Many`](crate::many::Many), its `Observer`, its `RowSource` and its
//! `ResultQueue` hold it. When the caller leaves, by Ctrl-C say, `Many` takes from it what is still running
//! and how to go on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use effects_client::is_replay;
use effects_core::{BaseUrl, TaskBill, Template, printable};
use pyo3::prelude::*;
use tokio::sync::{Notify, Semaphore};

use crate::reservation::JobAttempts;
use crate::submission_tracker::SubmissionNote;
use crate::traces::ParentContext;

/// What the parts of many rows share.
pub struct ManyShared {
    pub base: Arc<BaseUrl>,
    pub journal: Option<PathBuf>,
    /// One for each row that may be drawn before others are taken.
    pub draw_permits: Semaphore,
    /// One for each job that may begin before others are taken.
    pub begin_permits: Semaphore,
    /// Rows that hold one of those.
    pub permitted: Mutex<HashSet<usize>>,
    pub stopped: AtomicBool,
    /// No caller takes a result any more.
    pub abandoned: AtomicBool,
    pub stop: Notify,
    /// Rows in the batch, by the numbers of their jobs.
    pub open: Mutex<HashMap<usize, OpenJob>>,
    /// What is known of the jobs whose results were not taken, by the numbers of their rows.
    pub untaken: Mutex<BTreeMap<usize, Arc<SubmissionNote>>>,
    /// The call, where it is traced.
    pub parent: Option<ParentContext>,
}

/// A row that became a job.
pub struct OpenJob {
    pub row: usize,
    pub job: Py<PyAny>,
    pub note: Arc<SubmissionNote>,
    /// Its attempts, where it may be submitted within the client's budget.
    pub attempts: Option<Arc<JobAttempts>>,
    pub template: Option<Template>,
    pub begun: Instant,
}

impl ManyShared {
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.draw_permits.close();
        self.begin_permits.close();
        // It leaves a permit where `finish_all` does not wait just then.
        self.stop.notify_one();
    }

    /// Stops, and no caller waits any more.
    pub fn abandon(&self) {
        self.stop();
        // Before the notes are gone through, and `begin` asks it after it has added one: no note is
        // missed.
        self.abandoned.store(true, Ordering::SeqCst);
        for note in self.untaken().values() {
            note.abandon();
        }
    }

    /// Whether a recording is replayed, in which no task goes on and nothing is paid.
    fn is_replayed(&self) -> bool {
        is_replay(self.base.origin())
    }

    pub fn hint(&self) -> String {
        let hints: Vec<String> =
            self.untaken().values().filter_map(|note| note.running_hint()).collect();
        let more = hints.len().saturating_sub(MAX_HINTS);
        let mut hints: Vec<String> = hints.into_iter().take(MAX_HINTS).collect();
        if more > 0 {
            hints.push(format!("and {more} more"));
        }
        if self.is_replayed() {
            hints.push(TaskBill::Replayed(None).to_string());
        } else if hints.is_empty() {
            hints.push("nothing that was submitted is still running".to_owned());
        }
        hints.extend(self.journal_hint());
        hints.join("\n")
    }

    /// What to log of the tasks whose results no caller takes: each of them, since nothing else may have
    /// their ids.
    pub fn unlogged(&self) -> Option<String> {
        if self.is_replayed() {
            return None;
        }
        let mut texts: Vec<String> =
            self.untaken().values().filter_map(|note| note.unlogged()).collect();
        // Of those that are not answered yet, each id is logged when it comes.
        if texts.is_empty() && !self.untaken().values().any(|note| note.is_under_way()) {
            return None;
        }
        texts.extend(self.journal_hint());
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    pub fn journal_hint(&self) -> Option<String> {
        let path = self.journal.as_ref()?.display();
        let resume = match self.is_replayed() {
            true => String::new(),
            false => format!(", or: effects resume --journal {path}"),
        };
        let hint = format!("run the same jobs with the same journal to go on{resume}");
        Some(printable(&hint).into_owned())
    }

    /// Keeps the note of a job that begins, until its result is taken.
    pub fn begin(&self, row: usize, note: &Arc<SubmissionNote>) {
        self.untaken().insert(row, Arc::clone(note));
        // All before it were abandoned already.
        if self.abandoned.load(Ordering::SeqCst) {
            note.abandon();
        }
    }

    /// A row holds a permit to begin until its result is taken.
    pub fn permit(&self, row: usize) {
        self.permitted().insert(row);
    }

    pub fn permitted(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.permitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn untaken(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<SubmissionNote>>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a job, and what is known of it.
    pub fn noted(&self, index: usize) -> Option<(usize, Arc<SubmissionNote>)> {
        self.open().get(&index).map(|open| (open.row, Arc::clone(&open.note)))
    }

    pub fn open(&self) -> MutexGuard<'_, HashMap<usize, OpenJob>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tasks named in the note of an exception.
const MAX_HINTS: usize = 20;
