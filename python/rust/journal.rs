//! [`OpenJournal`]: the journal in one file or database, opened once in this process; [`journal_at`] gives
//! it to `Engine`. `SingleSubmission` and `Many` open their rows in it; [`TaskRows`] finds the row of a
//! task and records there how the task ended, for followed tasks, jobs and the client's budget.
//! `__init__.py` has all journals closed before a fork ([`close_journals`]) and opened again after it
//! ([`reopen_journals`]).
//!
//! SQLite knows of its files' locks by process, and a fork has that knowledge without the locks; so
//! every file is closed while the process is forked, and opened again in the parent with what is
//! next to do. `effects_journal::ForkHandle` says more.

use std::collections::HashMap;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use effects_client::{JournalSession, is_replay, make_private_dir, state_dir, telemetry};
use effects_core::journal::JournalError;
use effects_core::{Cause, Effect, Error, ErrorKind, Origin, TaskBill, TaskId, Usage};
use effects_jobs::{Found, JournalStore, OpenRow, Record, RowDraft, RowState};
use effects_journal::{
    ClosedForFork, ForkHandle, PostgresStore, SqliteJournal, is_database_url, without_password,
};
use pyo3::prelude::*;
use tokio::sync::Semaphore;

use crate::value::FinishedEffect;

/// The journals of a process.
#[derive(Debug, Default)]
struct JournalRegistry {
    journals: HashMap<PathBuf, Arc<OpenJournal>>,
    guard: Arc<ForkGuard>,
}

/// The journals of this process, with the process they belong to: threads do not survive `fork()`.
static REGISTRY: Mutex<Option<(u32, JournalRegistry)>> = Mutex::new(None);

/// The journal in a file, or in the database of a URL, which its first use opens. This does not block.
pub fn journal_at(_holds_the_lock: Python<'_>, path: &Path) -> Arc<OpenJournal> {
    // Made absolute here: the program may change its working directory before the journal is
    // opened.
    let whole = if is_database(path) { None } else { absolute(path).ok() };
    let path = whole.unwrap_or_else(|| path.to_owned());
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if !matches!(&*registry, Some((owner, _)) if *owner == process) {
        // Forgotten, not dropped: a parent's journals are written by threads that are not in this process.
        std::mem::forget(registry.replace((process, JournalRegistry::default())));
    }
    let (_, registry) = registry.get_or_insert_with(|| (process, JournalRegistry::default()));
    let journal = registry.journals.entry(path.clone()).or_insert_with(|| {
        let guard = Arc::clone(&registry.guard);
        let row_permits = Semaphore::new(MAX_ROWS_AT_ONCE);
        Arc::new(OpenJournal { path, guard, journal: tokio::sync::Mutex::default(), row_permits })
    });
    Arc::clone(journal)
}

/// The journal in one file or database. It is open as long as a client or a run has a session of it.
#[derive(Debug)]
pub struct OpenJournal {
    path: PathBuf,
    guard: Arc<ForkGuard>,
    journal: tokio::sync::Mutex<Option<Weak<dyn JournalStore>>>,
    /// Rows begun at once: each keeps a thread waiting, and all of them wait for one.
    row_permits: Semaphore,
}

impl OpenJournal {
    /// Its file, or the URL of its database without the password.
    pub fn shown(&self) -> PathBuf {
        self.path.to_str().map_or_else(|| self.path.clone(), |name| without_password(name).into())
    }

    /// Begins the row of a single run.
    pub async fn begin(&self, session: JournalSession, draft: RowDraft) -> Result<OpenRow, Error> {
        // An error would mean that it is closed, which it never is.
        let _permit = self.row_permits.acquire().await;
        let begun = tokio::task::spawn_blocking(move || session.begin(draft)).await;
        let begun = begun.map_err(|_| Error::new(ErrorKind::Journal, "it was given up"))?;
        begun.map_err(|error| failed(&error))
    }

    /// The session over the journal, which is made if it is not there. It may take as long as another
    /// process holds the file, half a minute at most.
    pub async fn open(&self) -> Result<JournalSession, Error> {
        // Locked while it is opened, so that runs that begin together open it once.
        let mut journal = self.journal.lock().await;
        if let Some(journal) = journal.as_ref().and_then(Weak::upgrade) {
            return Ok(JournalSession::new(journal));
        }
        let (guard, path) = (Arc::clone(&self.guard), self.path.clone());
        let opened = tokio::task::spawn_blocking(move || guard.open(&path)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(JournalError::Unreadable("the opening of the journal was given up".to_owned()))
        });
        let opened = opened.map_err(|error| failed(&error))?;
        *journal = Some(Arc::downgrade(&opened));
        Ok(JournalSession::new(opened))
    }
}

/// The rows of a client's journal, known by their tasks: how the client saw a task end is recorded in
/// its row, which the submission or another process has left open.
#[derive(Clone, Debug)]
pub struct TaskRows {
    journal: Arc<OpenJournal>,
    origin: Origin,
}

impl TaskRows {
    pub fn new(journal: Arc<OpenJournal>, origin: Origin) -> Self {
        Self { journal, origin }
    }

    /// The session over the journal, as [`OpenJournal::open`] gives it.
    pub async fn journal_session(&self) -> Result<JournalSession, Error> {
        self.journal.open().await
    }

    /// The gateway whose tasks these are.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Records how a task ended, if `end` is its end and the journal has it without one. What goes
    /// wrong is a warning: the end is worth more than its record, and any later look records it.
    pub async fn settle(&self, task: &TaskId, end: &Result<Effect, Error>) {
        let over = match end {
            Ok(_) => true,
            Err(error) => matches!(error.cause(), Cause::Failed(_)),
        };
        // Nothing is known of any task where there is no journal yet.
        if !over || !is_database(&self.journal.path) && !self.journal.path.exists() {
            return;
        }
        if let Err(error) = self.record(task.clone(), end.clone()).await {
            warn_unrecorded(task, &error);
        }
    }

    async fn record(&self, task: TaskId, end: Result<Effect, Error>) -> Result<(), Error> {
        let session = self.journal_session().await?;
        // Never closed.
        let _permit = self.journal.row_permits.acquire().await;
        let origin = self.origin.clone();
        let recorded = tokio::task::spawn_blocking(move || {
            // Held elsewhere, it is settled there: that run sees the same end.
            if let Some(Found::Watch(open)) = session.follow(&origin, &task)? {
                open.settle(&end)?;
                // The caller gets the end only once its record is durable.
                session.store().flush()?;
            }
            Ok(())
        });
        let given_up = |_| Err(JournalError::Unwritable("it was given up".to_owned()));
        recorded.await.unwrap_or_else(given_up).map_err(|error| failed(&error))
    }
}

/// Lets no journal be open while the process is forked: each opening passes it, and a fork closes what
/// is open.
#[derive(Debug, Default)]
struct ForkGuard {
    state: Mutex<ForkState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ForkState {
    opening: u32,
    forking: bool,
    handles: Vec<ForkHandle>,
    /// The journals that are closed for a fork.
    closed: Vec<ClosedForFork>,
}

impl ForkGuard {
    fn open(&self, path: &Path) -> Result<Arc<dyn JournalStore>, JournalError> {
        let mut state = self.wait_while(|state| state.forking);
        state.opening += 1;
        drop(state);
        // Without the lock, since opening may take half a minute. A fork waits until `opening` is
        // zero.
        let opened = open(path);
        let mut state = self.state();
        state.opening -= 1;
        state.handles.retain(|handle| !handle.is_gone());
        state.handles.extend(opened.as_ref().map(|(_, handle)| handle.clone()));
        drop(state);
        self.changed.notify_all();
        opened.map(|(journal, _)| journal)
    }

    /// Closes every journal, and waits for it; none opens before `reopen`.
    fn close(&self) {
        let mut state = self.wait_while(|state| state.forking);
        // Another thread may be about to fork as well: its turn lasts until its `reopen`.
        state.forking = true;
        drop(state);
        let handles = std::mem::take(&mut self.wait_while(|state| state.opening > 0).handles);
        let closed: Vec<ClosedForFork> =
            handles.iter().filter_map(ForkHandle::close_for_fork).collect();
        let mut state = self.state();
        (state.handles, state.closed) = (handles, closed);
    }

    fn reopen(&self) {
        let mut state = self.state();
        state.forking = false;
        state.closed.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn wait_while(&self, busy: impl Fn(&ForkState) -> bool) -> MutexGuard<'_, ForkState> {
        let wait = self.changed.wait_while(self.state(), |state| busy(state));
        wait.unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, ForkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_database(path: &Path) -> bool {
    path.to_str().is_some_and(is_database_url)
}

/// The journal in a file or in a database, with what closes it for a fork.
fn open(path: &Path) -> Result<(Arc<dyn JournalStore>, ForkHandle), JournalError> {
    let Some(url) = path.to_str().filter(|name| is_database_url(name)) else {
        let journal = SqliteJournal::open(path)?;
        let handle = journal.fork_handle();
        return Ok((Arc::new(journal), handle));
    };
    let mut builder = PostgresStore::builder();
    // For the ids that a lost database does not take; without a home they are in the errors alone.
    if let Some(folder) = state_dir().filter(|folder| make_private_dir(folder).is_ok()) {
        builder = builder.spill_folder(folder);
    }
    let journal = builder.connect(url)?;
    let handle = journal.fork_handle();
    Ok((Arc::new(journal), handle))
}

/// The guard of this process, if it ever had a journal.
fn guard(_holds_the_lock: Python<'_>) -> Option<Arc<ForkGuard>> {
    let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    let (owner, registry) = registry.as_ref()?;
    (*owner == std::process::id()).then(|| Arc::clone(&registry.guard))
}

/// Before a fork: closes the journals of this process, once their pending entries are written.
#[pyfunction]
pub fn close_journals(py: Python<'_>) {
    if let Some(guard) = guard(py) {
        py.detach(|| guard.close());
    }
}

/// After a fork, in the parent: lets them open their files again.
#[pyfunction]
pub fn reopen_journals(py: Python<'_>) {
    if let Some(guard) = guard(py) {
        guard.reopen();
    }
}

/// A journal's error as the clients' own.
pub fn failed(error: &JournalError) -> Error {
    let kind = match error {
        // Two jobs with one key are a mistake in the request; the journal itself is fine.
        JournalError::KeyReused { .. } => ErrorKind::InvalidRequest,
        _ => ErrorKind::Journal,
    };
    Error::new(kind, error.to_string())
}

/// Warns that the journal did not take the end of a task. The caller has the end, and any later look
/// records it.
pub fn warn_unrecorded(task: &TaskId, error: &Error) {
    telemetry::warn(&format!("the journal did not take the end of task {task}: {error}"));
}

/// The error for a caller that wants the picture of a doubtful row.
pub fn doubtful(record: &Record) -> Error {
    let row = record.number;
    let reason = match &record.state {
        RowState::Doubtful { reason, .. } => reason.as_str(),
        _ => "",
    };
    let lead = format!("row {row} of the journal is doubtful ({reason})");
    let message = match is_replay(&record.row.origin) {
        true => format!("{lead}; this is a replay, in which nothing is billed"),
        false => format!(
            "{lead}: its task may exist and may be billed, so it is not sent again; find out, then: effects \
             resolve {row} --task ID, or --not-billed"
        ),
    };
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// The error for a row that another run still has in hand when the wait is over.
pub fn held_elsewhere(record: &Record) -> Error {
    let (row, why) = (record.number, record.why_left());
    let message = format!("row {row} of the journal: {why}; the wait is over");
    Error::new(ErrorKind::WaitTimeout, message)
}

/// The error of a row whose task failed in an earlier run: nothing is asked of the service.
pub fn verdict(record: &Record) -> Option<Error> {
    let RowState::Failed { task, message, code, cost, .. } = &record.state else { return None };
    let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let bill = TaskBill::of_failed(*cost).replayed_if(is_replay(&record.row.origin));
    let message = format!("task {task} failed in an earlier run: {message}{code}; {bill}");
    Some(Error::new(ErrorKind::TaskFailed, message).about(task).billed(Usage::of_cost(*cost)))
}

/// The effect of a row that was completed before, as far as the journal keeps it: nothing is asked of the
/// service.
pub fn completed_effect(record: &Record) -> Option<FinishedEffect> {
    let RowState::Completed { submitted, finished, .. } = &record.state else { return None };
    Some(FinishedEffect {
        effect: record.state.effect()?,
        fetched: Vec::new(),
        template: Some(record.row.template.id().to_owned()),
        elapsed: finished.since(*submitted).as_secs_f64(),
    })
}

const MAX_ROWS_AT_ONCE: usize = 64;
