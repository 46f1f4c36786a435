//! A task followed event by event.

use std::sync::Arc;

use effects_reqwest::Watch;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::note::Note;
use crate::operation::Operation;
use crate::value::Value;

/// The events of a task, one operation each.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Events {
    watch: Arc<Mutex<Watch>>,
    note: Arc<Note>,
}

impl Events {
    pub fn new(watch: Watch, note: Arc<Note>) -> Self {
        Self { watch: Arc::new(Mutex::new(watch)), note }
    }
}

#[pymethods]
impl Events {
    /// The next event, `None` at the end.
    fn next(&self) -> Operation {
        let watch = Arc::clone(&self.watch);
        Operation::new(Some(Arc::clone(&self.note)), async move {
            Ok(Value::Event(watch.lock().await.next().await.map(Box::new)))
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("note", &self.note).finish_non_exhaustive()
    }
}
