//! [`Operation`]: one call of a Python client, as a native object: nothing happens until it is waited for
//! or started. The methods of `Engine`, `Many` and `Events` return one; `_wait.py` waits for it in a
//! blocked thread ([`Operation::wait`]), or `_loop.py` starts it for an event loop ([`Operation::start`]);
//! `cancel` stops the waiting, and logs the task's id so that it is not lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

use effects_core::{Error, Template};
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::address::{Address, ReadStart, ReaderId, ValueSource, given_up};
use crate::completion_queue::CompletionQueue;
use crate::interruptible::received;
use crate::run_operation::{EffectReceiver, Joined, Launch, SubmissionReceiver};
use crate::submission_tracker::SubmissionNote;
use crate::value::OperationValue;
use crate::{failure, runtime, warnings};

/// What an operation does on the runtime's thread.
enum OperationWork {
    /// A future of its own.
    Future(Pin<Box<dyn Future<Output = Result<OperationValue, Error>> + Send>>),
    /// A run among others.
    Joining(Launch, Option<Template>, bool),
    /// A submission among others, which ends with its task's id.
    Submitting(Launch, Template),
    /// The next value of a source.
    Reading(Arc<dyn ValueSource>),
    /// Nothing: what it comes to is known.
    Known(Result<OperationValue, Error>),
}

/// One thing a client does. Nothing happens before it is waited for or started.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Operation {
    state: Mutex<OperationState>,
    note: Option<Arc<SubmissionNote>>,
}

/// How far an operation is. Thousands of operations wait at once, so it is kept small.
enum OperationState {
    Made(Box<OperationWork>),
    Started(AbortHandle),
    Joined(Joined),
    Reading(Box<(Arc<dyn ValueSource>, ReaderId)>),
    Over,
}

const _: () = assert!(size_of::<OperationState>() == 16, "it grew");

impl Operation {
    pub fn new(
        note: Option<Arc<SubmissionNote>>,
        work: impl Future<Output = Result<OperationValue, Error>> + Send + 'static,
    ) -> Self {
        Self::made(note, OperationWork::Future(Box::pin(work)))
    }

    /// A run that joins the others of its client; with `fetch`, the pictures' bytes are wanted as well.
    pub(crate) fn joining(launch: Launch, template: Option<Template>, fetch: bool) -> Self {
        Self::made(Some(Arc::clone(&launch.note)), OperationWork::Joining(launch, template, fetch))
    }

    /// A submission that joins the others of its client, and comes to its task by its id.
    pub(crate) fn submitting(launch: Launch, template: Template) -> Self {
        Self::made(Some(Arc::clone(&launch.note)), OperationWork::Submitting(launch, template))
    }

    /// Reads the next value of a source.
    pub(crate) fn reading(note: Option<Arc<SubmissionNote>>, source: Arc<dyn ValueSource>) -> Self {
        Self::made(note, OperationWork::Reading(source))
    }

    /// What is known already.
    pub(crate) fn known(
        note: Option<Arc<SubmissionNote>>,
        result: Result<OperationValue, Error>,
    ) -> Self {
        Self::made(note, OperationWork::Known(result))
    }

    fn made(note: Option<Arc<SubmissionNote>>, work: OperationWork) -> Self {
        Self { state: Mutex::new(OperationState::Made(Box::new(work))), note }
    }

    /// Starts the work. Returns the result where it is there already; else it goes to `address`.
    fn send_to(
        &self,
        py: Python<'_>,
        mut address: Address,
    ) -> PyResult<Option<Result<OperationValue, Error>>> {
        let runtime = runtime::handle(py).map_err(|error| failure::exception(py, &error))?;
        // Asked at each start, since a program may change its levels: the runtime's thread cannot
        // ask, because it never takes the interpreter's lock.
        warnings::ask_logger(py);
        let (mut state, mut known) = (self.state(), None);
        *state = match std::mem::replace(&mut *state, OperationState::Over) {
            OperationState::Made(work) => match *work {
                OperationWork::Future(work) => {
                    let task = runtime.spawn(async move {
                        address.deliver(work.await);
                    });
                    OperationState::Started(task.abort_handle())
                }
                OperationWork::Joining(launch, template, fetch) => {
                    let receiver = EffectReceiver::new(&launch, template, fetch, address);
                    OperationState::Joined(launch.begin(&runtime, receiver))
                }
                OperationWork::Submitting(launch, template) => {
                    let receiver = SubmissionReceiver::new(&launch, template, address);
                    OperationState::Joined(launch.begin(&runtime, receiver))
                }
                OperationWork::Known(result) => {
                    // The result is returned. Dropped with its reader in it, the address would
                    // deliver an error as well.
                    address.forget();
                    known = Some(result);
                    OperationState::Over
                }
                OperationWork::Reading(source) => match source.read(&runtime, address) {
                    ReadStart::Known(result) => {
                        known = Some(*result);
                        OperationState::Over
                    }
                    ReadStart::Waits(reader) => OperationState::Reading(Box::new((source, reader))),
                },
            },
            other => {
                *state = other;
                address.forget();
                let message = "the operation was started before";
                return Err(pyo3::exceptions::PyRuntimeError::new_err(message));
            }
        };
        Ok(known)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, OperationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Operation {
    /// Does it, without the interpreter's lock, and answers signals on the way.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (sender, receiver) = channel();
        let result = match self.send_to(py, Address::Thread(Some(sender)))? {
            Some(result) => Some(result),
            None => received(py, receiver)?.1,
        };
        // After a Ctrl-C, the caller names the task whose result is lost with it.
        runtime::log_warnings(py)?;
        // `None`: the sender is gone without a result, since the work panicked or was aborted.
        match result.unwrap_or_else(|| Err(given_up())) {
            Ok(value) => value.into_python(py),
            Err(error) => Err(failure::exception(py, &error)),
        }
    }

    /// Does it for an event loop: this future has the result at once where it is known, and else it arrives
    /// in the loop's queue.
    fn start(
        &self,
        py: Python<'_>,
        completions: &CompletionQueue,
        future: Py<PyAny>,
    ) -> PyResult<()> {
        let address = Address::EventLoop(Some((completions.sender(), future.clone_ref(py))));
        match self.send_to(py, address)? {
            Some(result) => completions.complete(py, future, result),
            None => Ok(()),
        }
    }

    /// Stops the watching, and logs the id of a task whose result is lost to its caller. A submission
    /// under way runs to its answer, and logs its own.
    fn cancel(&self, py: Python<'_>) {
        if let Some(note) = &self.note {
            // First, so that an id that comes just now is logged once.
            note.abandon();
            if let Some(text) = note.unlogged() {
                warnings::warn(py, &text);
            }
        }
        match std::mem::replace(&mut *self.state(), OperationState::Over) {
            OperationState::Started(task) => task.abort(),
            OperationState::Joined(joined) => joined.leave(),
            OperationState::Reading(reading) => reading.0.leave(reading.1),
            OperationState::Made(_) | OperationState::Over => {}
        }
    }

    /// Puts the spans of its exchanges under this context.
    fn trace(&self, parent: Py<PyAny>) {
        if let Some(note) = &self.note {
            note.trace(Arc::new(parent));
        }
    }

    /// What the caller who stops waiting should know; `None` where nothing is at stake.
    fn hint(&self) -> Option<String> {
        self.note.as_ref().map(|note| note.hint())
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("note", &self.note).finish_non_exhaustive()
    }
}
