//! Warnings, as records of Python's `logging` under the name `spark_effects`.
//!
//! The clients warn through `tracing`. On the runtime's thread, which never asks for the interpreter's
//! lock, a warning waits for the next result to be delivered; elsewhere it is logged at once.

use std::cell::OnceCell;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once, PoisonError};

use effects_client::telemetry::WARNINGS;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::runtime;

/// The warnings of one process that wait to be logged: a child of `fork()` has its own.
pub type Waiting = Arc<Mutex<Vec<String>>>;

thread_local! {
    /// Those of the runtime whose thread this is.
    static WAITING: OnceCell<Waiting> = const { OnceCell::new() };
}

/// Lets warnings of this thread, the runtime's, wait here.
pub fn wait_in(waiting: Waiting) {
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

/// Logs what waits.
pub fn log(py: Python<'_>) {
    let Some(waiting) = runtime::warnings(py) else { return };
    let texts = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
    texts.iter().for_each(|text| log_one(py, text));
}

fn log_one(py: Python<'_>, text: &str) {
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
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut LogMessage);
    }
}

struct LogMessage;

impl Visit for LogMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            return;
        }
        let text = format!("{value:?}");
        let waits = WAITING.with(|cell| {
            let waiting = cell.get()?;
            waiting.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
            Some(())
        });
        if waits.is_none() {
            // None where the interpreter is about to end.
            let _logged = Python::try_attach(|py| log_one(py, &text));
        }
    }
}
