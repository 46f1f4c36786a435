//! [`WarningQueue`]: keeps warnings, events and calls of hooks that come up on the runtime's thread, until
//! a thread or event loop that waits for a result (`Operation`, `CompletionQueue`) logs them with Python's
//! `logging` (logger `spark_effects`) by `runtime::log_warnings`. `Engine` has the clients' log go there
//! ([`listen`]); `SharedBudget` and `Many` add warnings ([`queue_warning`]), `HookCaller` calls of hooks
//! ([`queue_call`]). `SubmissionNote` logs at once, on a thread of its own ([`log_on_own_thread`]).
//!
//! The clients warn through `tracing`, downloads through their events. On the runtime's thread, which
//! never asks for the interpreter's lock, a warning waits for a thread or a loop that waits for a
//! result, and is logged before that result is given; elsewhere it is logged at once. Where the caller
//! has left, no result follows: the warning is logged from a thread of its own.
//!
//! Ids, looks and attempts that are repeated are records of the levels `INFO` and `DEBUG`, which are made
//! only while the logger takes them: [`ask_logger`] asks it.

use std::cell::{Cell, OnceCell};
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

use crate::loop_waker::LoopWaker;

/// What waits in one process for a thread that has the interpreter's lock: a child of `fork()` has its own.
#[derive(Default)]
pub struct WarningQueue {
    entries: Mutex<Entries>,
    /// The event loops to be woken for them.
    loops: Mutex<Vec<Weak<LoopWaker>>>,
}

#[derive(Default)]
struct Entries {
    all: Vec<QueuedWarning>,
    /// Those that found no room.
    left_out: usize,
}

/// A record to log, or a function to call.
enum QueuedWarning {
    Record(LogLevel, String),
    Call(Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>),
}

/// A level of Python's `logging`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum LogLevel {
    Debug = 10,
    Info = 20,
    Warning = 30,
}

impl std::fmt::Debug for WarningQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarningQueue").finish_non_exhaustive()
    }
}

impl WarningQueue {
    /// Wakes this event loop for warnings, too.
    pub fn add_loop(&self, waker: &Arc<LoopWaker>) {
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        // Each `asyncio.run` has a loop of its own: those that are gone are left out here.
        loops.retain(|waker| waker.strong_count() > 0);
        loops.push(Arc::downgrade(waker));
    }

    fn push(&self, entry: QueuedWarning) {
        let mut entries = self.entries();
        let is_warning = matches!(entry, QueuedWarning::Record(LogLevel::Warning, _));
        // A caller who takes no results for hours must not run out of memory.
        if entries.all.len() >= MAX_ENTRIES && !is_warning {
            entries.left_out += 1;
            return;
        }
        entries.all.push(entry);
        drop(entries);
        // A thread that waits for a result looks by itself.
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.iter().filter_map(Weak::upgrade).for_each(|waker| waker.wake());
    }

    /// Logs what waits, and calls it; nothing within a hook that waits for a result itself, which would be
    /// called within itself then, and out of order. A Ctrl-C that comes to a hook ends it: what is left waits on.
    pub fn log(&self, py: Python<'_>) -> PyResult<()> {
        if IS_LOGGING.replace(true) {
            return Ok(());
        }
        let logged = self.log_all(py);
        IS_LOGGING.set(false);
        logged
    }

    fn log_all(&self, py: Python<'_>) -> PyResult<()> {
        // Unlocked before anything is called, which may wait for a result itself.
        let Entries { all, left_out } = std::mem::take(&mut *self.entries());
        let mut all = all.into_iter();
        while let Some(entry) = all.next() {
            if let Err(error) = entry.perform(py) {
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
                 {MAX_ENTRIES} waited"
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
    fn perform(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Record(level, text) => {
                record(py, level, &text);
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
const MAX_ENTRIES: usize = 65_536;

thread_local! {
    /// The queue of the runtime whose thread this is.
    static QUEUE: OnceCell<Arc<WarningQueue>> = const { OnceCell::new() };
    /// Whether this thread logs what waits, and calls hooks, just now.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Texts that threads of their own are about to log.
static LOGGING_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Lets the warnings of this thread, which is the runtime's, wait in this queue.
pub fn use_queue(queue: Arc<WarningQueue>) {
    // A thread is one runtime's.
    QUEUE.with(|cell| drop(cell.set(queue)));
}

/// Listens to the clients from here on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let warnings = LogCall { is_warning: true }
            .with_filter(Targets::new().with_target(WARNINGS, Level::WARN));
        // The target is looked at again, since a warning, too, is offered to every layer once one takes it.
        let events = dynamic_filter_fn(|metadata, _| {
            metadata.target() == EVENTS && is_wanted(log_level(*metadata.level()))
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
pub fn log_event(event: effects_core::Event) {
    // A warning goes to `tracing` where it comes up.
    if !matches!(event, effects_core::Event::Warning { .. }) {
        queue_warning(event.to_string());
    }
}

/// Logs a text before the next result is given, or at once on a thread that is not the runtime's.
pub fn queue_warning(text: String) {
    enqueue(QueuedWarning::Record(LogLevel::Warning, text));
}

/// Calls this before the next result is given, or at once on a thread that is not the runtime's.
pub fn queue_call(call: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
    enqueue(QueuedWarning::Call(Box::new(call)));
}

fn enqueue(entry: QueuedWarning) {
    let waits = QUEUE.with(|cell| cell.get().map(Arc::clone));
    match waits {
        Some(waiting) => waiting.push(entry),
        // None where the interpreter is about to end.
        None => drop(Python::try_attach(|py| {
            if let Err(error) = entry.perform(py) {
                error.write_unraisable(py, None);
            }
        })),
    }
}

/// The lowest level that the logger takes, as far as it was asked.
static LOWEST_LEVEL: AtomicUsize = AtomicUsize::new(LogLevel::Warning as usize);

fn is_wanted(level: LogLevel) -> bool {
    level as usize >= LOWEST_LEVEL.load(Ordering::Relaxed)
}

/// The level of a run's event. An attempt that is repeated is nothing to be printed unasked.
fn log_level(level: Level) -> LogLevel {
    if level > Level::INFO { LogLevel::Debug } else { LogLevel::Info }
}

/// Asks the logger which levels it takes. A program that has not imported `logging` wants none.
pub fn ask_logger(py: Python<'_>) {
    let wanted = wanted_by_logger(py).unwrap_or_else(|error| {
        error.write_unraisable(py, None);
        LogLevel::Warning
    });
    LOWEST_LEVEL.store(wanted as usize, Ordering::Relaxed);
}

fn wanted_by_logger(py: Python<'_>) -> PyResult<LogLevel> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = match LOGGER.get(py) {
        Some(logger) => logger,
        None => {
            let modules = py.import("sys")?.getattr("modules")?;
            if !modules.contains("logging")? {
                return Ok(LogLevel::Warning);
            }
            LOGGER.get_or_try_init(py, || logger_of(py).map(Bound::unbind))?
        }
    };
    let logger = logger.bind(py);
    let takes = |level: LogLevel| {
        logger.call_method1(intern!(py, "isEnabledFor"), (level as i32,))?.is_truthy()
    };
    // Most loggers take neither, which one call tells.
    Ok(match takes(LogLevel::Info)? {
        false => LogLevel::Warning,
        true if takes(LogLevel::Debug)? => LogLevel::Debug,
        true => LogLevel::Info,
    })
}

fn logger_of(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("spark_effects",))
}

/// Logs a text that must not be lost and that no result follows. The calling thread need not have the
/// interpreter's lock, and does not wait for it.
pub fn log_on_own_thread(text: &str) {
    let text = printable(text).into_owned();
    // Counted before the thread starts, so that the end of the process waits for its text.
    LOGGING_THREADS.fetch_add(1, Ordering::SeqCst);
    let words = text.clone();
    let logging = thread::Builder::new().name("spark-effects-log".to_owned()).spawn(move || {
        if Python::try_attach(|py| warn(py, &words)).is_none() {
            write_to_stderr(&words);
        }
        own_thread_done();
    });
    if logging.is_err() {
        write_to_stderr(&text);
        own_thread_done();
    }
}

fn own_thread_done() {
    // None are left to count where a fork made this process forget its parent's.
    let _ = LOGGING_THREADS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
}

/// Whether a thread is about to log.
pub fn is_logging() -> bool {
    LOGGING_THREADS.load(Ordering::SeqCst) > 0
}

/// Forgets the threads of a parent process.
pub fn forget() {
    LOGGING_THREADS.store(0, Ordering::SeqCst);
}

/// Writes to stderr, where there is no interpreter to log by: in one write, so that texts do not mix. Where
/// stderr is gone too, the text is lost.
fn write_to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Logs one warning. Without a handler, Python shows it on stderr.
#[pyfunction]
pub fn warn(py: Python<'_>, text: &str) {
    record(py, LogLevel::Warning, text);
}

fn record(py: Python<'_>, level: LogLevel, text: &str) {
    let logged =
        logger_of(py).and_then(|logger| logger.call_method1("log", (level as i32, "%s", text)));
    if let Err(error) = logged {
        // What is being done goes on.
        error.write_unraisable(py, None);
    }
}

/// Logs each warning, or each event of a run at its own level.
struct LogCall {
    is_warning: bool,
}

impl<S: Subscriber> Layer<S> for LogCall {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        event.record(&mut LogMessage(if self.is_warning {
            LogLevel::Warning
        } else {
            log_level(level)
        }));
    }
}

struct LogMessage(LogLevel);

impl Visit for LogMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            enqueue(QueuedWarning::Record(self.0, format!("{value:?}")));
        }
    }
}
