//! [`CompletionQueue`]: where the results of an event loop's operations arrive, many at one wake-up.
//! `_loop.py` makes one for each loop, takes the results out and gives them to their futures. An
//! `Address` puts them in, through [`CompletionSender`].
//!
//! The loop watches one end of a socket pair. The runtime's thread queues a result and writes one byte
//! if the queue was empty; it needs neither the interpreter nor its lock.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::Error;
use pyo3::intern;
use pyo3::prelude::*;

use crate::loop_waker::LoopWaker;
use crate::value::OperationValue;
use crate::{failure, runtime};

/// The results that one event loop has to deliver.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct CompletionQueue {
    sender: Arc<CompletionSender>,
    reader: UnixStream,
}

/// A result, and the future that waits for it.
type FinishedResult = (Py<PyAny>, Result<OperationValue, Error>);

/// The side of the runtime's thread.
#[derive(Debug)]
pub struct CompletionSender {
    arrived: Mutex<Vec<FinishedResult>>,
    waker: Arc<LoopWaker>,
}

impl CompletionSender {
    /// Queues a result, with the future that waits for it.
    pub fn send(&self, future: Py<PyAny>, result: Result<OperationValue, Error>) {
        let was_empty = {
            let mut arrived = self.arrived();
            arrived.push((future, result));
            arrived.len() == 1
        };
        if was_empty {
            self.waker.wake();
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<FinishedResult>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl CompletionQueue {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        // Neither end may wait: one is written by the runtime's thread, the other read by the event
        // loop.
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let waker = Arc::new(LoopWaker::new(writer));
        // The runtime, whose warnings wake the loop, is there from here on.
        runtime::handle(py).map_err(|error| failure::exception(py, &error))?;
        if let Some(warnings) = runtime::warnings(py) {
            warnings.add_loop(&waker);
        }
        let sender = Arc::new(CompletionSender { arrived: Mutex::default(), waker });
        Ok(Self { sender, reader })
    }

    /// What the loop has to watch.
    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// Every result that arrived, as (future, result, error): one of the latter two is `None`. Warnings
    /// are logged.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Completion<'py>>> {
        let mut bytes = [0; 64];
        // Emptied before the queue is: what arrives after that writes again.
        loop {
            match (&self.reader).read(&mut bytes) {
                Ok(read) if read < bytes.len() => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // `WouldBlock`: it is empty. Whatever else is wrong with it, the results are taken.
                Err(_) => break,
            }
        }
        let arrived = std::mem::take(&mut *self.sender.arrived());
        if let Err(error) = runtime::log_warnings(py) {
            // The loop ends what runs in it, and takes the results then.
            self.sender.arrived().splice(0..0, arrived);
            self.sender.waker.wake();
            return Err(error);
        }
        arrived.into_iter().map(|(future, result)| completion(py, future, result)).collect()
    }
}

type Completion<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// A result as Python has it.
fn completion(
    py: Python<'_>,
    future: Py<PyAny>,
    result: Result<OperationValue, Error>,
) -> PyResult<Completion<'_>> {
    let future = future.into_bound(py);
    Ok(match result.map(|value| value.into_python(py)) {
        Ok(Ok(value)) => (future, Some(value), None),
        Ok(Err(error)) => (future, None, Some(error.into_value(py).into_bound(py).into_any())),
        Err(error) => (future, None, Some(failure::object(py, &error)?)),
    })
}

impl CompletionQueue {
    /// Gives a future its result on the loop's own thread, once warnings are logged.
    pub fn complete(
        &self,
        py: Python<'_>,
        future: Py<PyAny>,
        result: Result<OperationValue, Error>,
    ) -> PyResult<()> {
        if let Err(error) = runtime::log_warnings(py) {
            // The loop ends what runs in it, and takes the result then.
            self.sender.send(future, result);
            return Err(error);
        }
        let (future, value, error) = completion(py, future, result)?;
        match error {
            None => future.call_method1(intern!(py, "set_result"), (value,))?,
            Some(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }

    pub fn sender(&self) -> Arc<CompletionSender> {
        Arc::clone(&self.sender)
    }
}
