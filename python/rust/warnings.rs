//! Logs warnings as records of Python's `logging` under the name `spark_effects`. [`Waiting`] keeps those
//! of the runtime's thread until a thread that waits for a result logs them; `Purse` and `Note` warn with
//! [`pass_on`] and [`log_apart`].
//!
//! The clients warn through `tracing`, downloads through their events. On the runtime's thread, which
//! never asks for the interpreter's lock, a warning waits for a thread or a loop that waits for a
//! result, and is logged before that result is given; elsewhere it is logged at once. What is said to
//! a caller who has left, no result follows: it is logged from a thread of its own.

use std::cell::OnceCell;
use std::fmt::Debug;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;

use effects_client::telemetry::WARNINGS;
use effects_core::printable;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::bell::Bell;

/// The warnings of one process that wait to be logged: a child of `fork()` has its own.
#[derive(Debug, Default)]
pub struct Waiting {
    texts: Mutex<Vec<String>>,
    /// The event loops to be woken for them.
    loops: Mutex<Vec<Weak<Bell>>>,
}

impl Waiting {
    /// Wakes this event loop for warnings, too.
    pub fn wake(&self, bell: &Arc<Bell>) {
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|bell| bell.strong_count() > 0);
        loops.push(Arc::downgrade(bell));
    }

    fn push(&self, text: String) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        // A thread that waits for a result looks by itself.
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.iter().filter_map(Weak::upgrade).for_each(|bell| bell.ring());
    }

    /// Logs what waits.
    pub fn log(&self, py: Python<'_>) {
        let texts = std::mem::take(&mut *self.texts.lock().unwrap_or_else(PoisonError::into_inner));
        texts.iter().for_each(|text| warn(py, text));
    }
}

thread_local! {
    /// Those of the runtime whose thread this is.
    static WAITING: OnceCell<Arc<Waiting>> = const { OnceCell::new() };
}

/// Texts that threads of their own are about to log.
static APART: AtomicUsize = AtomicUsize::new(0);

/// Lets warnings of this thread, the runtime's, wait here.
pub fn wait_in(waiting: Arc<Waiting>) {
    // A thread is one runtime's.
    WAITING.with(|cell| drop(cell.set(waiting)));
}

/// Listens to the clients from here on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let warnings = Logged.with_filter(Targets::new().with_target(WARNINGS, Level::WARN));
        // Where the `effects` command listens in this process, it shows them.
        let _ = tracing_subscriber::registry().with(warnings).try_init();
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
    let waits = WAITING.with(|cell| cell.get().map(Arc::clone));
    match waits {
        Some(waiting) => waiting.push(text),
        // None where the interpreter is about to end.
        None => drop(Python::try_attach(|py| warn(py, &text))),
    }
}

/// Logs a text that must not be lost and that no result follows. The calling thread need not have the
/// interpreter's lock, and does not wait for it.
pub fn log_apart(text: &str) {
    let text = printable(text).into_owned();
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

/// Where there is no interpreter to log by: one write, so that words do not mix; where stderr is gone
/// too, nothing can be said.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Logs one warning. Without a handler, Python shows it on stderr.
#[pyfunction]
pub fn warn(py: Python<'_>, text: &str) {
    let logged = py
        .import("logging")
        .and_then(|logging| logging.call_method1("getLogger", ("spark_effects",)))
        .and_then(|logger| logger.call_method1("warning", ("%s", text)));
    if let Err(error) = logged {
        // What is being done goes on.
        error.write_unraisable(py, None);
    }
}

/// Logs each warning.
struct Logged;

impl<S: Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut LogMessage);
    }
}

struct LogMessage;

impl Visit for LogMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            pass_on(format!("{value:?}"));
        }
    }
}
