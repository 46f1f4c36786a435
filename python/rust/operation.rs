//! One thing a client does, made once and waited for in one of two ways.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use effects_core::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::failure;
use crate::mailbox::{Mailbox, Shared};
use crate::note::Note;
use crate::runtime;
use crate::value::Value;

/// What an operation does on the runtime's thread.
pub type Work = Pin<Box<dyn Future<Output = Result<Value, Error>> + Send>>;

/// One thing a client does. Nothing happens before it is waited for or started.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Operation {
    state: Mutex<State>,
    note: Option<Arc<Note>>,
}

enum State {
    Made(Work),
    Started(AbortHandle),
    Over,
}

impl Operation {
    pub fn new(
        note: Option<Arc<Note>>,
        work: impl Future<Output = Result<Value, Error>> + Send + 'static,
    ) -> Self {
        Self { state: Mutex::new(State::Made(Box::pin(work))), note }
    }

    /// Starts the work; its result goes to `address`.
    fn send_to(&self, py: Python<'_>, address: Address) -> PyResult<()> {
        let runtime = runtime::handle(py).map_err(|error| failure::exception(py, &error))?;
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Over) {
            State::Made(work) => {
                let task = runtime.spawn(async move {
                    // Dropped half-way, the address itself says so.
                    let mut address = address;
                    let result = work.await;
                    address.deliver(result);
                });
                *state = State::Started(task.abort_handle());
                Ok(())
            }
            other => {
                *state = other;
                Err(pyo3::exceptions::PyRuntimeError::new_err("the operation was started before"))
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Operation {
    /// Does it, without the interpreter's lock, and answers signals on the way.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (tell, mut told) = sync_channel(1);
        self.send_to(py, Address::Thread(Some(tell)))?;
        loop {
            let received;
            (told, received) = py.detach(move || {
                let received = told.recv_timeout(BETWEEN_SIGNALS);
                (told, received)
            });
            match received {
                Ok(Ok(value)) => return value.into_python(py),
                Ok(Err(error)) => return Err(failure::exception(py, &error)),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failure::exception(py, &given_up()));
                }
            }
        }
    }

    /// Does it for an event loop: the result arrives in its box under this number.
    fn start(&self, py: Python<'_>, mailbox: &Mailbox, number: u64) -> PyResult<()> {
        self.send_to(py, Address::Box(Some((mailbox.shared(), number))))
    }

    /// Stops the watching. A submission under way runs to its answer.
    fn cancel(&self) {
        if let Some(note) = &self.note {
            note.abandon();
        }
        if let State::Started(task) = std::mem::replace(&mut *self.state(), State::Over) {
            task.abort();
        }
    }

    /// What whoever stops waiting should know; `None` where nothing is at stake.
    fn hint(&self) -> Option<String> {
        self.note.as_ref().map(|note| note.hint())
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("note", &self.note).finish_non_exhaustive()
    }
}

/// Where a result goes.
enum Address {
    Thread(Option<SyncSender<Result<Value, Error>>>),
    Box(Option<(Arc<Shared>, u64)>),
}

impl Address {
    fn deliver(&mut self, result: Result<Value, Error>) {
        match self {
            Self::Thread(tell) => {
                if let Some(tell) = tell.take() {
                    // The channel has room for the one result; a reader that left wants none.
                    let _ = tell.try_send(result);
                }
            }
            Self::Box(place) => {
                if let Some((mailbox, number)) = place.take() {
                    mailbox.put(number, result);
                }
            }
        }
    }
}

/// Work that was aborted or panicked must not leave anybody waiting for ever.
impl Drop for Address {
    fn drop(&mut self) {
        if matches!(self, Self::Box(Some(_))) {
            self.deliver(Err(given_up()));
        }
    }
}

/// What whoever waits for work that was aborted or panicked is told.
pub fn given_up() -> Error {
    let message = "the operation was given up half-way: this is a bug of the package, or the \
        operation was cancelled; a submission may exist";
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// Ctrl-C is answered within this time.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(40);
