//! [`Mailbox`]: where the results of an event loop's operations arrive, many at one wake-up. `_loop.py`
//! makes one for each loop, takes the results out and gives them to their futures. An `Address` puts
//! them in, through [`MailboxShared`].
//!
//! The loop watches one end of a socket pair. The runtime's thread puts a result into the box and
//! writes one byte if the box was empty; it needs neither the interpreter nor its lock.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::Error;
use pyo3::intern;
use pyo3::prelude::*;

use crate::bell::Bell;
use crate::value::OperationValue;
use crate::{failure, runtime};

/// The box of one event loop.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Mailbox {
    shared: Arc<MailboxShared>,
    reader: UnixStream,
}

/// A result, and the future that waits for it.
type FinishedResult = (Py<PyAny>, Result<OperationValue, Error>);

/// The side of the runtime's thread.
#[derive(Debug)]
pub struct MailboxShared {
    arrived: Mutex<Vec<FinishedResult>>,
    bell: Arc<Bell>,
}

impl MailboxShared {
    /// Puts a result into the box, with the future that waits for it.
    pub fn put(&self, future: Py<PyAny>, result: Result<OperationValue, Error>) {
        let was_empty = {
            let mut arrived = self.arrived();
            arrived.push((future, result));
            arrived.len() == 1
        };
        if was_empty {
            self.bell.ring();
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<FinishedResult>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        // Neither end may wait: one is written by the runtime's thread, the other read by the event
        // loop.
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let bell = Arc::new(Bell::new(writer));
        // The runtime, whose warnings wake the loop, is there from here on.
        runtime::handle(py).map_err(|error| failure::exception(py, &error))?;
        if let Some(warnings) = runtime::warnings(py) {
            warnings.wake(&bell);
        }
        let shared = Arc::new(MailboxShared { arrived: Mutex::default(), bell });
        Ok(Self { shared, reader })
    }

    /// What the loop has to watch.
    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// Every result that arrived, as (future, result, error): one of the latter two is `None`. Warnings
    /// are logged.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Letter<'py>>> {
        let mut bytes = [0; 64];
        // Emptied before the box is: what arrives after that writes again.
        loop {
            match (&self.reader).read(&mut bytes) {
                Ok(read) if read < bytes.len() => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // `WouldBlock`: it is empty. Whatever else is wrong with it, the results are taken.
                Err(_) => break,
            }
        }
        let arrived = std::mem::take(&mut *self.shared.arrived());
        if let Err(error) = runtime::log_warnings(py) {
            // The loop ends what runs in it, and takes the results then.
            self.shared.arrived().splice(0..0, arrived);
            self.shared.bell.ring();
            return Err(error);
        }
        arrived.into_iter().map(|(future, result)| letter(py, future, result)).collect()
    }
}

type Letter<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// A result as Python has it.
fn letter(
    py: Python<'_>,
    future: Py<PyAny>,
    result: Result<OperationValue, Error>,
) -> PyResult<Letter<'_>> {
    let future = future.into_bound(py);
    Ok(match result.map(|value| value.into_python(py)) {
        Ok(Ok(value)) => (future, Some(value), None),
        Ok(Err(error)) => (future, None, Some(error.into_value(py).into_bound(py).into_any())),
        Err(error) => (future, None, Some(failure::object(py, &error)?)),
    })
}

impl Mailbox {
    /// Gives a future its result on the loop's own thread, once warnings are logged.
    pub fn hand_over(
        &self,
        py: Python<'_>,
        future: Py<PyAny>,
        result: Result<OperationValue, Error>,
    ) -> PyResult<()> {
        if let Err(error) = runtime::log_warnings(py) {
            // The loop ends what runs in it, and takes the result then.
            self.shared.put(future, result);
            return Err(error);
        }
        let (future, value, error) = letter(py, future, result)?;
        match error {
            None => future.call_method1(intern!(py, "set_result"), (value,))?,
            Some(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }

    pub fn shared(&self) -> Arc<MailboxShared> {
        Arc::clone(&self.shared)
    }
}
