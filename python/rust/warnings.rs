//! Logs warnings, and what runs report, as records of Python's `logging` under the name `spark_effects`.
//! [`WarningQueue`] keeps those of the runtime's thread until a thread that waits for a result logs
//! them. `SharedBudget` and `Many` warn with [`pass_on`], `SubmissionNote` with [`log_apart`];
//! `HookCaller` has hooks called with [`call_later`].
//!
//! The clients warn through `tracing`, downloads through their events. On the runtime's thread, which
//! never asks for the interpreter's lock, a warning waits for a thread or a loop that waits for a
//! result, and is logged before that result is given; elsewhere it is logged at once. Where the caller
//! has left, no result follows: the warning is logged from a thread of its own.
//!
//! Ids, looks and attempts that are repeated are records of the levels `INFO` and `DEBUG`, which are made
//! only while the logger takes them: [`ask_logger`] asks it.

use std::cell::OnceCell;
use std::fmt::Debug;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;

use effects_client::telemetry::{EVENTS, WARNINGS};
use effects_core::printable;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, dynamic_filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::bell::Bell;

/// What waits in one process for a thread that has the interpreter's lock: a child of `fork()` has its own.
#[derive(Default)]
pub struct WarningQueue {
    entries: Mutex<Entries>,
    /// The event loops to be woken for them.
    loops: Mutex<Vec<Weak<Bell>>>,
}

#[derive(Default)]
struct Entries {
    all: Vec<QueuedWarning>,
    /// Those that found no room.
    left_out: usize,
}

/// A record to log, or a function to call.
enum QueuedWarning {
    Record(Grade, String),
    Call(Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>),
}

/// A level of Python's `logging`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Grade {
    Debug = 10,
    Info = 20,
    Warning = 30,
}

impl std::fmt::Debug for WarningQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl WarningQueue {
    /// Wakes this event loop for warnings, too.
    pub fn wake(&self, bell: &Arc<Bell>) {
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        // Each `asyncio.run` has a loop of its own: those that are gone are left out here.
        loops.retain(|bell| bell.strong_count() > 0);
        loops.push(Arc::downgrade(bell));
    }

    fn push(&self, entry: QueuedWarning) {
        let mut entries = self.entries();
        let is_warning = matches!(entry, QueuedWarning::Record(Grade::Warning, _));
        // A caller who takes no results for hours must not run out of memory.
        if entries.all.len() >= MOST_ENTRIES && !is_warning {
            entries.left_out += 1;
            return;
        }
        entries.all.push(entry);
        drop(entries);
        // A thread that waits for a result looks by itself.
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.iter().filter_map(Weak::upgrade).for_each(|bell| bell.ring());
    }

    /// Logs what waits, and calls it. A Ctrl-C that comes to a hook ends it: what is left waits on.
    pub fn log(&self, py: Python<'_>) -> PyResult<()> {
        // Unlocked before anything is called, which may wait for a result itself.
        let Entries { all, left_out } = std::mem::take(&mut *self.entries());
        let mut all = all.into_iter();
        while let Some(entry) = all.next() {
            if let Err(error) = entry.act(py) {
                let mut entries = self.entries();
                let later = std::mem::take(&mut entries.all);
                entries.all = all.chain(later).collect();
                entries.left_out += left_out;
                return Err(error);
            }
        }
        if left_out > 0 {
            let text = format!(
                "{left_out} records and calls of hooks were left out: no result was taken while \
                 {MOST_ENTRIES} waited"
            );
            warn(py, &text);
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedWarning {
    fn act(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Record(grade, text) => {
                record(py, grade, &text);
                Ok(())
            }
            Self::Call(call) => match call(py) {
                Err(error) if !error.is_instance_of::<PyKeyboardInterrupt>(py) => {
                    // What is being done goes on.
                    error.write_unraisable(py, None);
                    Ok(())
                }
                called => called,
            },
        }
    }
}

/// Entries that may wait beside warnings.
const MOST_ENTRIES: usize = 65_536;

thread_local! {
    /// Those of the runtime whose thread this is.
    static WAITING: OnceCell<Arc<WarningQueue>> = const { OnceCell::new() };
}

/// Texts that threads of their own are about to log.
static APART: AtomicUsize = AtomicUsize::new(0);

/// Lets the warnings of this thread, which is the runtime's, wait in this queue.
pub fn wait_in(waiting: Arc<WarningQueue>) {
    // A thread is one runtime's.
    WAITING.with(|cell| drop(cell.set(waiting)));
}

/// Listens to the clients from here on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let warnings = LogCall { is_warning: true }
            .with_filter(Targets::new().with_target(WARNINGS, Level::WARN));
        // The target is looked at again, since a warning, too, is offered to every layer once one takes it.
        let events = dynamic_filter_fn(|metadata, _| {
            metadata.target() == EVENTS && is_wanted(grade(*metadata.level()))
        })
        .with_callsite_filter(|metadata| match metadata.is_event() {
            true if metadata.target() == EVENTS => Interest::sometimes(),
            _ => Interest::never(),
        })
        .with_max_level_hint(LevelFilter::DEBUG);
        let both = tracing_subscriber::registry()
            .with(warnings)
            .with(LogCall { is_warning: false }.with_filter(events));
        // Where the `effects` command listens in this process, it shows them.
        let _ = both.try_init();
    });
}

/// Passes on an event of a download.
pub fn tell(event: effects_core::Event) {
    // A warning is told to `tracing` where it comes up.
    if !matches!(event, effects_core::Event::Warning { .. }) {
        pass_on(event.to_string());
    }
}

/// Logs a text before the next result is given, or at once on a thread that is not the runtime's.
pub fn pass_on(text: String) {
    enter(QueuedWarning::Record(Grade::Warning, text));
}

/// Calls this before the next result is given, or at once on a thread that is not the runtime's.
pub fn call_later(call: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
    enter(QueuedWarning::Call(Box::new(call)));
}

fn enter(entry: QueuedWarning) {
    let waits = WAITING.with(|cell| cell.get().map(Arc::clone));
    match waits {
        Some(waiting) => waiting.push(entry),
        // None where the interpreter is about to end.
        None => drop(Python::try_attach(|py| {
            if let Err(error) = entry.act(py) {
                error.write_unraisable(py, None);
            }
        })),
    }
}

/// The lowest level that the logger takes, as far as it was asked.
static WANTED: AtomicUsize = AtomicUsize::new(Grade::Warning as usize);

fn is_wanted(grade: Grade) -> bool {
    grade as usize >= WANTED.load(Ordering::Relaxed)
}

/// The grade of what a run tells. An attempt that is repeated is nothing to be printed unasked.
fn grade(level: Level) -> Grade {
    if level > Level::INFO { Grade::Debug } else { Grade::Info }
}

/// Asks the logger which levels it takes. A program that has not imported `logging` wants none.
pub fn ask_logger(py: Python<'_>) {
    let wanted = wanted_by_logger(py).unwrap_or_else(|error| {
        error.write_unraisable(py, None);
        Grade::Warning
    });
    WANTED.store(wanted as usize, Ordering::Relaxed);
}

fn wanted_by_logger(py: Python<'_>) -> PyResult<Grade> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = match LOGGER.get(py) {
        Some(logger) => logger,
        None => {
            let modules = py.import("sys")?.getattr("modules")?;
            if !modules.contains("logging")? {
                return Ok(Grade::Warning);
            }
            LOGGER.get_or_try_init(py, || logger_of(py).map(Bound::unbind))?
        }
    };
    for grade in [Grade::Debug, Grade::Info] {
        let takes = logger.bind(py).call_method1(intern!(py, "isEnabledFor"), (grade as i32,))?;
        if takes.is_truthy()? {
            return Ok(grade);
        }
    }
    Ok(Grade::Warning)
}

fn logger_of(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("spark_effects",))
}

/// Logs a text that must not be lost and that no result follows. The calling thread need not have the
/// interpreter's lock, and does not wait for it.
pub fn log_apart(text: &str) {
    let text = printable(text).into_owned();
    // Counted before the thread starts, so that the end of the process waits for its text.
    APART.fetch_add(1, Ordering::SeqCst);
    let words = text.clone();
    let logging = thread::Builder::new().name("spark-effects-log".to_owned()).spawn(move || {
        if Python::try_attach(|py| warn(py, &words)).is_none() {
            say(&words);
        }
        done_apart();
    });
    if logging.is_err() {
        say(&text);
        done_apart();
    }
}

fn done_apart() {
    // None are left to count where a fork made this process forget its parent's.
    let _ = APART.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
}

/// Whether a thread is about to log.
pub fn is_logging() -> bool {
    APART.load(Ordering::SeqCst) > 0
}

/// Forgets the threads of a parent process.
pub fn forget() {
    APART.store(0, Ordering::SeqCst);
}

/// Writes to stderr, where there is no interpreter to log by: in one write, so that texts do not mix. Where
/// stderr is gone too, the text is lost.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Logs one warning. Without a handler, Python shows it on stderr.
#[pyfunction]
pub fn warn(py: Python<'_>, text: &str) {
    record(py, Grade::Warning, text);
}

fn record(py: Python<'_>, grade: Grade, text: &str) {
    let logged =
        logger_of(py).and_then(|logger| logger.call_method1("log", (grade as i32, "%s", text)));
    if let Err(error) = logged {
        // What is being done goes on.
        error.write_unraisable(py, None);
    }
}

/// Logs each warning, or what a run tells with the grade of its level.
struct LogCall {
    is_warning: bool,
}

impl<S: Subscriber> Layer<S> for LogCall {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        event.record(&mut LogMessage(if self.is_warning { Grade::Warning } else { grade(level) }));
    }
}

struct LogMessage(Grade);

impl Visit for LogMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            enter(QueuedWarning::Record(self.0, format!("{value:?}")));
        }
    }
}
