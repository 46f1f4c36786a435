//! [`SubmissionNote`]: what is known of one run's submission: whether it is still unanswered, and which
//! task it made. `Engine`, `Handle` and `RowSource` make one for each run, which writes to it as its
//! journal, or through a [`TrackingJournal`] in front of the real one; where the caller leaves, `Operation`
//! and `Many` log the task's id from it. At the end of the process `__init__.py` calls
//! [`wait_for_submissions`], for a minute at most.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use effects_client::is_replay;
use effects_core::journal::{Admission, AsyncJournal, Entry, Fact, JournalError, RowOutcome};
use effects_core::{BaseUrl, TaskBill, TaskId, printable};
use pyo3::prelude::*;

use crate::failure::resume_words;
use crate::traces::{self, ParentContext};
use crate::{drawing_threads, runtime, warnings};

/// Submissions of this process whose answers are still to come, but those of replays.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// What is known of one run's submission.
#[derive(Debug)]
pub struct SubmissionNote {
    base: Arc<BaseUrl>,
    state: Mutex<NoteState>,
    /// No caller waits any more: the task's id is logged when it comes.
    abandoned: AtomicBool,
    /// Whether the task's id was logged; shared by all runs that follow the same handle, so that it is
    /// logged once.
    logged: Arc<AtomicBool>,
    /// The call that waits for it, where that is traced.
    parent: OnceLock<ParentContext>,
}

#[derive(Debug, Default)]
struct NoteState {
    /// A submission that has left and is not answered. Boxed, since thousands of notes live while their
    /// tasks run and few are submitting.
    unanswered: Option<Box<UnansweredSubmission>>,
    task: Option<TaskId>,
}

/// A submission by its `X-Request-Id`.
#[derive(Debug)]
struct UnansweredSubmission {
    request_id: String,
}

impl SubmissionNote {
    pub fn new(base: Arc<BaseUrl>) -> Arc<Self> {
        Self::with(base, None, Arc::default())
    }

    /// About a task that is there already; `logged` says whether its id was logged.
    pub fn about(base: Arc<BaseUrl>, task: TaskId, logged: Arc<AtomicBool>) -> Arc<Self> {
        Self::with(base, Some(task), logged)
    }

    /// For a task whose id the caller already has: it is never logged.
    pub fn silent(base: Arc<BaseUrl>, task: TaskId) -> Arc<Self> {
        Self::with(base, Some(task), Arc::new(AtomicBool::new(true)))
    }

    fn with(base: Arc<BaseUrl>, task: Option<TaskId>, logged: Arc<AtomicBool>) -> Arc<Self> {
        let state = Mutex::new(NoteState { unanswered: None, task });
        let (abandoned, parent) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(Self { base, state, abandoned, logged, parent })
    }

    /// Notes that no caller waits any more.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Notes the task that the run follows, which an earlier run or another process submitted.
    pub fn is_about(&self, task: TaskId) {
        self.register(task.as_str());
        self.state().task.get_or_insert(task);
    }

    /// The exchanges of its run belong to this call.
    pub fn trace(&self, parent: ParentContext) {
        // A submission registers its names as its entries are written. A task that is only followed
        // has no entries, and is registered here.
        if self.parent.set(parent).is_ok()
            && let Some(task) = self.task()
        {
            self.register(task.as_str());
        }
    }

    fn register(&self, name: &str) {
        if let Some(parent) = self.parent.get() {
            traces::register(name, parent);
        }
    }

    fn unregister(&self, name: &str) {
        if let Some(parent) = self.parent.get() {
            traces::forget(name, parent);
        }
    }

    /// The task, once there is one.
    pub fn task(&self) -> Option<TaskId> {
        self.state().task.clone()
    }

    /// Whether a submission has left that is not answered yet.
    pub fn is_under_way(&self) -> bool {
        self.state().unanswered.is_some()
    }

    /// Whether a recording is replayed, in which no task goes on and nothing is paid.
    fn is_replayed(&self) -> bool {
        is_replay(self.base.origin())
    }

    /// What to log of a task whose result no caller gets; `None` where there is no task yet, it is one of a
    /// replay, or its id was logged before.
    pub fn unlogged(&self) -> Option<String> {
        let task = self.task().filter(|_| !self.is_replayed())?;
        // One swap: of several callers who leave at the same time, one logs the id.
        (!self.logged.swap(true, Ordering::SeqCst)).then(|| self.unclaimed_task_message(&task))
    }

    fn unclaimed_task_message(&self, task: &TaskId) -> String {
        let line = self.base.resume_line(task);
        let text = format!(
            "task {task} was submitted, and its result reached no caller; {}",
            resume_words(task, &line)
        );
        printable(&text).into_owned()
    }

    /// Whether no caller waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// The run is over, or given up: no answer will come.
    pub fn settle(&self) {
        let mut state = self.state();
        if let Some(UnansweredSubmission { request_id }) = state.unanswered.as_deref()
            && self.is_abandoned()
            && !self.is_replayed()
        {
            warnings::log_on_own_thread(&format!(
                "the submission with X-Request-Id {request_id} got no answer that tells its fate: its \
                 task may exist and may be billed"
            ));
        }
        self.settle_in(&mut state);
    }

    fn settle_in(&self, state: &mut NoteState) {
        if state.unanswered.take().is_some() && !self.is_replayed() {
            // After a fork the counter starts at zero, so it may have nothing to count down.
            let _ =
                UNDER_WAY.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        }
    }

    /// The run's journal: this note, in front of `inner` if the run has a real journal.
    pub fn journal(
        self: &Arc<Self>,
        inner: Option<Arc<dyn AsyncJournal>>,
    ) -> Arc<dyn AsyncJournal> {
        match inner {
            None => Arc::clone(self) as _,
            Some(inner) => Arc::new(TrackingJournal { note: Arc::clone(self), inner }),
        }
    }

    /// What the caller who stops waiting should know.
    pub fn hint(&self) -> String {
        let state = self.state();
        match (&state.task, state.unanswered.as_deref()) {
            (Some(task), _) if self.is_replayed() => {
                printable(&format!("stopped watching task {task}; {}", TaskBill::Replayed(None)))
                    .into_owned()
            }
            (None, Some(_)) if self.is_replayed() => {
                "left while the submission was on its way; this is a replay, in which nothing leaves this \
                 machine and nothing is billed"
                    .to_owned()
            }
            (Some(task), _) => {
                let line = self.base.resume_line(task);
                printable(&format!("task {task} goes on; {}", resume_words(task, &line)))
                    .into_owned()
            }
            (None, Some(UnansweredSubmission { request_id })) => format!(
                "a submission is under way (X-Request-Id {request_id}) and runs to its answer; \
                 the id of its task is then logged"
            ),
            (None, None) => "nothing was submitted; nothing is billed".to_owned(),
        }
    }

    /// What goes on though no caller waits; `None` if nothing was submitted, and in a replay.
    pub fn running_hint(&self) -> Option<String> {
        let state = self.state();
        let is_submitted =
            (state.task.is_some() || state.unanswered.is_some()) && !self.is_replayed();
        drop(state);
        is_submitted.then(|| self.hint())
    }

    fn record(&self, fact: &Fact) {
        let mut state = self.state();
        // Each attempt has an `X-Request-Id` of its own: once another entry comes, no exchange has
        // the last one's any more.
        if let Some(unanswered) = &state.unanswered {
            self.unregister(&unanswered.request_id);
        }
        match fact {
            Fact::Intent { request_id, .. } => {
                self.register(request_id);
                let unanswered = Box::new(UnansweredSubmission { request_id: request_id.clone() });
                // A repeated attempt takes the place of the one before it, so that a run counts
                // once. One of a replay does not count: its answer names no task that is paid for, so the
                // process's end does not wait for it.
                if state.unanswered.replace(unanswered).is_none() && !self.is_replayed() {
                    UNDER_WAY.fetch_add(1, Ordering::SeqCst);
                }
            }
            Fact::Created { task_id, .. } => {
                // If a repeated submission made a second task, the run follows the first.
                let is_second = state.task.is_some();
                state.task.get_or_insert_with(|| task_id.clone());
                self.register(task_id.as_str());
                // The second task has an id of its own, which is logged even where the first's was.
                if self.is_abandoned()
                    && !self.is_replayed()
                    && (!self.logged.swap(true, Ordering::SeqCst) || is_second)
                {
                    warnings::log_on_own_thread(&self.unclaimed_task_message(task_id));
                }
                // Last, so that the process's end waits for the log.
                self.settle_in(&mut state);
            }
            _ => self.settle_in(&mut state),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, NoteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AsyncJournal for SubmissionNote {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.record(&entry.fact);
        Ok(Admission::Admitted)
    }
}

impl Drop for SubmissionNote {
    fn drop(&mut self) {
        let unanswered =
            self.state().unanswered.as_ref().map(|unanswered| unanswered.request_id.clone());
        for name in unanswered.into_iter().chain(self.task().map(String::from)) {
            self.unregister(&name);
        }
        // A run that is dropped without an end must not keep the process from ending.
        self.settle();
    }
}

/// A journal that takes notes of what passes through.
struct TrackingJournal {
    note: Arc<SubmissionNote>,
    inner: Arc<dyn AsyncJournal>,
}

#[async_trait]
impl AsyncJournal for TrackingJournal {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let written = self.inner.write(entry).await;
        // Note a new task even if the journal write failed: this note is then the only record of its id.
        if matches!(written, Ok(Admission::Admitted)) || matches!(entry.fact, Fact::Created { .. })
        {
            self.note.record(&entry.fact);
        }
        written
    }

    fn ended(&self, end: &RowOutcome) -> Result<(), JournalError> {
        self.inner.ended(end)
    }
}

/// Submissions of this process whose answers are still to come.
#[pyfunction]
pub fn submissions_under_way() -> usize {
    UNDER_WAY.load(Ordering::SeqCst)
}

/// Waits until every submission has its answer, for so many seconds at most, and logs the ids of their
/// tasks and other warnings. Ctrl-C ends it. For a thread that draws jobs it waits shortly: it may be in the
/// caller's iterator for ever.
#[pyfunction]
pub fn wait_for_submissions(py: Python<'_>, seconds: f64) -> PyResult<()> {
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < seconds
        && (submissions_under_way() > 0
            || warnings::is_logging()
            || drawing_threads::is_drawing() && begun.elapsed() < DRAWING_ENDS_WITHIN)
    {
        // The threads that log need the interpreter's lock meanwhile.
        py.detach(|| std::thread::sleep(Duration::from_millis(10)));
        py.check_signals()?;
    }
    runtime::log_warnings(py)
}

/// Clears the count after a fork: the parent process gets those answers.
#[pyfunction]
pub fn forget_submissions() {
    warnings::forget();
    drawing_threads::forget_threads();
    UNDER_WAY.store(0, Ordering::SeqCst);
}

/// A thread that draws jobs and is not in the caller's iterator has ended by then, once all is stopped.
const DRAWING_ENDS_WITHIN: Duration = Duration::from_millis(200);
