//! [`OperationValue`]: the result of an operation (a [`FinishedEffect`], an event, a row's
//! [`RowOutcomeValue`] and others) on its way from the runtime's thread into Python. The operations of
//! `Engine`, `Many` and `Events` make one, and an `Address` delivers it. The thread or event loop that
//! waited for it makes plain values of it (a tuple, bytes, a path), of which the Python side makes its
//! objects.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use effects_core::wire::ResponseExcerpt;
use effects_core::{Effect, Error, Event, Picture, ServiceError, Task, TaskId, Time};
use effects_reqwest::{Client, TaskHandle};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::handle::Handle;
use crate::{failure, warnings};

/// What an operation comes to.
#[derive(Debug)]
pub enum OperationValue {
    /// An effect, with its pictures' bytes if they were fetched.
    Effect(Box<FinishedEffect>),
    /// A task by its id.
    Handle(Box<SubmittedHandle>),
    /// What one look showed.
    Task(Box<Task>),
    /// The next event, or the end of them.
    Event(Option<Box<Event>>),
    /// A picture's bytes.
    Bytes(Bytes),
    /// A file.
    Path(PathBuf),
    /// A URL.
    Text(String),
    /// How a row of many ended, or the end of them.
    Row(Option<Box<RowOutcomeValue>>),
}

/// An effect and what is known of how it was made.
#[derive(Debug)]
pub struct FinishedEffect {
    pub effect: Effect,
    /// The pictures' bytes, in their order; empty if they were not fetched.
    pub fetched: Vec<Bytes>,
    pub template: Option<String>,
    /// Seconds from the submission, or from the beginning of the wait.
    pub elapsed: f64,
}

impl FinishedEffect {
    /// An effect whose run began then.
    pub fn new(
        effect: Effect,
        fetched: Vec<Bytes>,
        template: Option<String>,
        begun: Instant,
    ) -> Box<Self> {
        Box::new(Self { effect, fetched, template, elapsed: begun.elapsed().as_secs_f64() })
    }

    /// The same, with its pictures if they are wanted.
    pub async fn fetched(
        client: &Client,
        effect: Effect,
        fetch: bool,
        template: Option<String>,
        begun: Instant,
    ) -> Result<Box<Self>, Error> {
        let mut fetched = Vec::new();
        if fetch {
            for picture in &effect.pictures {
                let picture = fetch_picture(client, picture).await;
                // It is paid for all the same.
                fetched.push(picture.map_err(|error| error.billed(effect.usage.clone()))?);
            }
        }
        Ok(Self::new(effect, fetched, template, begun))
    }
}

/// A picture's bytes; what happens on the way is logged.
pub(crate) async fn fetch_picture(client: &Client, picture: &Picture) -> Result<Bytes, Error> {
    client.fetch_with(picture, warnings::log_event).await
}

/// A task just submitted.
#[derive(Debug)]
pub struct SubmittedHandle {
    pub handle: TaskHandle,
    pub template: String,
    pub at: Time,
}

impl OperationValue {
    /// The plain values.
    pub fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::Effect(made) => effect(py, &made).map(Bound::into_any),
            Self::Handle(submitted) => {
                let SubmittedHandle { handle, template, at } = *submitted;
                let id = handle.id().as_str().to_owned();
                let handle = Handle::of_this_process(handle, Some(template.clone()), Some(at));
                (handle, id, template).into_pyobject(py).map(Bound::into_any)
            }
            Self::Task(task) => task_status(py, &task).map(Bound::into_any),
            Self::Event(event) => match event {
                None => Ok(py.None().into_bound(py)),
                Some(event) => {
                    let json = serde_json::to_string(&event).unwrap_or_default();
                    (json, event.to_string(), status_in(&event))
                        .into_pyobject(py)
                        .map(Bound::into_any)
                }
            },
            Self::Bytes(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
            Self::Path(path) => path.into_pyobject(py).map(Bound::into_any),
            Self::Row(end) => row(py, end),
            Self::Text(text) => text.into_pyobject(py).map(Bound::into_any).map_err(Into::into),
        }
    }
}

/// The row's number, its job, its effect, what went wrong: one of the latter two is `None`.
fn row(py: Python<'_>, end: Option<Box<RowOutcomeValue>>) -> PyResult<Bound<'_, PyAny>> {
    let (number, job, effect, error) = match end.map(|end| *end) {
        None => return Ok(py.None().into_bound(py)),
        Some(RowOutcomeValue::IteratorFailed(error)) => return Err(error),
        Some(RowOutcomeValue::BatchFailed(error)) => return Err(failure::exception(py, &error)),
        Some(RowOutcomeValue::Ended(number, job, Ok(made))) => {
            (number, job, Some(effect(py, &made)?), None)
        }
        Some(RowOutcomeValue::Ended(number, job, Err(error))) => {
            (number, job, None, Some(failure::result_exception(py, &error)?))
        }
    };
    (number, job, effect, error).into_pyobject(py).map(Bound::into_any)
}

fn effect<'py>(py: Python<'py>, made: &FinishedEffect) -> PyResult<Bound<'py, PyTuple>> {
    let effect = &made.effect;
    let fetched = made.fetched.iter().map(Some).chain(std::iter::repeat(None));
    let pictures = effect.pictures.iter().zip(fetched);
    let pictures: Vec<_> = pictures.map(|(one, bytes)| picture(py, one, bytes)).collect();
    (
        effect.task_id.as_str(),
        PyTuple::new(py, pictures)?,
        failure::plain_usage(&effect.usage),
        effect.metadata.as_ref().map(effects_core::wire::RawJson::as_str),
        effect.warning.as_ref().map(service_error),
        effect.raw.as_str(),
        made.template.as_deref(),
        made.elapsed,
        effect.response.as_deref().map(response),
    )
        .into_pyobject(py)
}

fn task_status<'py>(py: Python<'py>, task: &Task) -> PyResult<Bound<'py, PyTuple>> {
    let pictures: Vec<_> = task.pictures.iter().map(|one| picture(py, one, None)).collect();
    (
        task.id.as_str(),
        task.status.as_ref().map(effects_core::Status::as_str),
        task.progress,
        task.created_at.map(seconds),
        PyTuple::new(py, pictures)?,
        task.usage.as_ref().map(failure::plain_usage),
        task.error.as_ref().map(service_error),
        task.metadata.as_ref().map(effects_core::wire::RawJson::as_str),
        task.raw.as_str(),
        task.response.as_deref().map(response),
    )
        .into_pyobject(py)
}

/// What an event says of where its task is: the status and the progress.
fn status_in(event: &Event) -> Option<(&str, Option<f64>)> {
    match event {
        Event::Submitted { .. } => Some(("queued", None)),
        Event::Running { status, progress, .. } => {
            let status = status.as_ref().map_or("in_progress", effects_core::Status::as_str);
            Some((status, *progress))
        }
        _ => None,
    }
}

type PlainResponse<'a> = (u16, Option<&'a str>, &'a [(String, String)]);

/// The status, the name of the exchange and the headers.
fn response(response: &ResponseExcerpt) -> PlainResponse<'_> {
    (response.status, response.request_id.as_deref(), &response.headers)
}

type PlainPicture<'py> = (String, String, Option<u64>, Option<String>, Option<Bound<'py, PyBytes>>);

fn picture<'py>(py: Python<'py>, picture: &Picture, bytes: Option<&Bytes>) -> PlainPicture<'py> {
    (
        picture.task_id.as_str().to_owned(),
        picture.url.clone(),
        picture.size,
        picture.job_id.clone(),
        bytes.map(|bytes| PyBytes::new(py, bytes)),
    )
}

/// Code and message.
fn service_error(error: &ServiceError) -> (Option<&str>, &str) {
    (error.code.as_ref().map(effects_core::ServiceCode::as_str), &error.message)
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
fn seconds(time: Time) -> f64 {
    time.as_millis() as f64 / 1_000.0
}

/// A task id out of Python.
pub fn task_id(text: &str) -> Result<TaskId, effects_core::Error> {
    text.parse().map_err(|error: effects_core::InvalidTaskId| {
        effects_core::Error::new(effects_core::ErrorKind::InvalidRequest, error.to_string())
    })
}

/// How a row ended.
#[derive(Debug)]
pub enum RowOutcomeValue {
    /// Its number, what Python gave for it, and its effect or what went wrong.
    Ended(usize, Py<PyAny>, Result<Box<FinishedEffect>, Error>),
    /// The iterator raised: no more rows come.
    IteratorFailed(PyErr),
    /// All of it could not be begun, or the journal not be written to its end.
    BatchFailed(Error),
}
