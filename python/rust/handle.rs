//! [`Handle`]: a task by its id, which remembers how the task ended once a call saw it, and works in a
//! child of `fork()`, too. The Python classes `Task` and `AsyncTask` hold one: `Engine::task` makes it of
//! an id, `value.rs` for a new submission. `Engine` polls and follows the task through it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use effects_core::{BaseUrl, Time};
use effects_reqwest::{Client, TaskHandle};
use pyo3::prelude::*;

use crate::submission_tracker::SubmissionNote;

/// A task by its id, which remembers its end once a call saw it.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Handle {
    handle: Mutex<(u32, TaskHandle)>,
    pub template: Option<String>,
    submitted: Option<Time>,
    /// Its id was logged for a caller who stopped waiting for it.
    logged: Arc<AtomicBool>,
}

impl Handle {
    pub fn of_this_process(
        handle: TaskHandle,
        template: Option<String>,
        submitted: Option<Time>,
    ) -> Self {
        let handle = Mutex::new((std::process::id(), handle));
        Self { handle, template, submitted, logged: Arc::default() }
    }

    /// The same, of a task that the caller gave the id of: it needs no logging.
    pub fn known_to_caller(self) -> Self {
        self.logged.store(true, Ordering::SeqCst);
        self
    }

    /// What is known of it, for a run that follows it.
    pub fn note(&self, base: &Arc<BaseUrl>) -> Arc<SubmissionNote> {
        let held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        SubmissionNote::about(Arc::clone(base), held.1.id().clone(), Arc::clone(&self.logged))
    }

    /// The task, looked at by this client.
    pub fn at(&self, client: &Client) -> TaskHandle {
        let mut held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if held.0 != process {
            let fresh = held.1.forked(client);
            // Forgotten, not dropped: a parent's connections end in a thread that is not in this process.
            std::mem::forget(std::mem::replace(&mut *held, (process, fresh)));
        }
        held.1.through(client)
    }
}

/// In a fork, a parent's is forgotten: a clone that is never dropped keeps its counts above zero.
impl Drop for Handle {
    fn drop(&mut self) {
        let (process, handle) = &*self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        if *process != std::process::id() {
            std::mem::forget(handle.clone());
        }
    }
}

#[pymethods]
impl Handle {
    /// When it was submitted, in seconds since the epoch, if this client did it.
    #[getter]
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
    fn submitted(&self) -> Option<f64> {
        self.submitted.map(|at| at.as_millis() as f64 / 1_000.0)
    }

    /// How it ended, as far as one that followed it saw: an empty text if it is completed, else what went
    /// wrong; `None` while that is not known.
    #[getter]
    fn end(&self) -> Option<String> {
        let held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let end = held.1.known_end()?;
        Some(end.err().map(|error| error.to_string()).unwrap_or_default())
    }
}

/// Seconds since the epoch as a time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub fn time(seconds: f64) -> Time {
    Time::from_millis((seconds * 1_000.0) as u64)
}
