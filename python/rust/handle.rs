//! A task by its id, as Python holds it.

use std::sync::{Mutex, PoisonError};

use effects_core::Time;
use effects_reqwest::{Client, TaskHandle};
use pyo3::prelude::*;

/// A task by its id, which remembers its end once somebody saw it.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Handle {
    handle: Mutex<(u32, TaskHandle)>,
    pub template: Option<String>,
    submitted: Option<Time>,
}

impl Handle {
    pub fn of_this_process(
        handle: TaskHandle,
        template: Option<String>,
        submitted: Option<Time>,
    ) -> Self {
        Self { handle: Mutex::new((std::process::id(), handle)), template, submitted }
    }

    /// The task, looked at by this client.
    pub fn at(&self, client: &Client) -> TaskHandle {
        let mut held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if held.0 != process {
            let mut fresh = client.task(held.1.id().clone());
            if let Some(submitted) = self.submitted {
                fresh = fresh.submitted_at(submitted);
            }
            // A parent's connections end in a thread that is not here, and must not be told.
            std::mem::forget(std::mem::replace(&mut *held, (process, fresh)));
        }
        held.1.through(client)
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
}

/// Seconds since the epoch as a time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub fn time(seconds: f64) -> Time {
    Time::from_millis((seconds * 1_000.0) as u64)
}

/// The time by the wall clock.
pub fn now() -> Time {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = wall.map_or(0, |wall| wall.as_millis());
    Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
