//! A task followed event by event.

use std::sync::Arc;
use std::time::Instant;

use effects_core::{Effect, Error, Event};
use effects_reqwest::{Client, Watch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::journal::TaskRows;
use crate::note::Note;
use crate::operation::{Operation, given_up};
use crate::purse::Purse;
use crate::single::Followed;
use crate::value::{Made, Value};

/// The events of a task, one operation each, and how it ended.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Events {
    /// The process that began it: a fork has the memory, and not the thread that follows.
    process: u32,
    follow: Arc<Mutex<Follow>>,
    client: Client,
    template: Option<String>,
    note: Arc<Note>,
}

/// A watch, until it is over.
struct Follow {
    watch: Option<Watch>,
    purse: Option<Arc<Purse>>,
    rows: Option<TaskRows>,
    begun: Instant,
    end: Option<Result<Effect, Error>>,
}

impl Events {
    /// The events of a task, whose pictures its client fetches and whose end its budget and its journal
    /// are told.
    pub(crate) fn new(followed: Followed, template: Option<String>, note: Arc<Note>) -> Self {
        let Followed { client, task, purse, rows } = followed;
        let watch = Some(task.events());
        let follow = Follow { watch, purse, rows, begun: Instant::now(), end: None };
        let process = std::process::id();
        Self { process, follow: Arc::new(Mutex::new(follow)), client, template, note }
    }

    fn here(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "these events come to the process that began to follow the task; call events() here",
        ))
    }
}

#[pymethods]
impl Events {
    /// The next event, `None` at the end.
    fn next(&self) -> PyResult<Operation> {
        self.here()?;
        let follow = Arc::clone(&self.follow);
        Ok(Operation::new(Some(Arc::clone(&self.note)), async move {
            Ok(Value::Event(follow.lock().await.next().await.map(Box::new)))
        }))
    }

    /// What the following came to, once it is over; with `fetch`, the pictures' bytes as well.
    fn finish(&self, fetch: bool) -> PyResult<Operation> {
        self.here()?;
        let (follow, client) = (Arc::clone(&self.follow), self.client.clone());
        let template = self.template.clone();
        Ok(Operation::new(Some(Arc::clone(&self.note)), async move {
            let mut follow = follow.lock().await;
            let effect = follow.end().await?;
            let begun = follow.begun;
            drop(follow);
            Made::fetched(&client, effect, fetch, template, begun).await.map(Value::Effect)
        }))
    }
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        let event = self.watch.as_mut()?.next().await;
        if event.is_none()
            && let Some(watch) = self.watch.take()
        {
            let task = watch.task_id().cloned();
            // The last event has passed, so this waits for nothing.
            let end = self.end.insert(watch.finish().await);
            if let (Some(purse), Some(task)) = (&self.purse, &task) {
                purse.saw(task, end);
            }
            if let (Some(rows), Some(task)) = (&self.rows, &task) {
                // Last: the reader may leave meanwhile, and the end stays where it is.
                rows.settle(task, end).await;
            }
        }
        event
    }

    /// How it ended. Whoever stops waiting for it leaves it where it is.
    async fn end(&mut self) -> Result<Effect, Error> {
        while self.next().await.is_some() {}
        self.end.clone().unwrap_or_else(|| Err(given_up()))
    }
}

/// A parent's is let go of without being told: its connections end in a thread that is not here.
impl Drop for Events {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget((Arc::clone(&self.follow), self.client.clone()));
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("note", &self.note).finish_non_exhaustive()
    }
}
