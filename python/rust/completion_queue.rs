//! [`CompletionQueue`]: collects the results of an event loop's operations, and wakes the loop once for all
//! that have arrived. `_loop.py` makes one for each loop, takes the results out and gives them to their
//! futures. An `Address` puts them in, from the runtime's thread, through a [`CompletionSender`].
//!
//! The loop watches one end of a socket pair. The runtime's thread queues a result and writes one byte
//! if the queue was empty; it needs neither the interpreter nor its lock. A loop that was woken less than
//! a millisecond ago is woken once for all results of the next one, and of many jobs for those of the next
//! four: to wake it takes more CPU time than to deliver a result.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use effects_core::Error;
use pyo3::intern;
use pyo3::prelude::*;
use tokio::runtime::Handle;

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
    arrived: Mutex<ArrivedResults>,
    waker: Arc<LoopWaker>,
}

#[derive(Debug, Default)]
struct ArrivedResults {
    results: Vec<FinishedResult>,
    /// When the loop was last woken for results.
    woken: Option<Instant>,
}

impl CompletionSender {
    /// Queues a result, with the future that waits for it, and wakes the loop: soon where other results
    /// are to come, of this future's source (`more`) or of other operations.
    pub fn send(
        self: &Arc<Self>,
        future: Py<PyAny>,
        result: Result<OperationValue, Error>,
        more: bool,
    ) {
        // Shared by the queue, this caller, and each operation that waits for its result.
        let is_last = !more && Arc::strong_count(self) <= 2;
        let mut arrived = self.arrived();
        arrived.results.push((future, result));
        if arrived.results.len() > 1 && !is_last {
            return;
        }
        let between_wakes = if more { BETWEEN_WAKES_FOR_JOBS } else { BETWEEN_WAKES };
        let is_early = arrived.woken.is_some_and(|woken| woken.elapsed() < between_wakes);
        // Elsewhere than in the runtime, no other results are about to come.
        let runtime = Handle::try_current().ok().filter(|_| is_early && !is_last);
        let Some(runtime) = runtime else { return self.wake(arrived) };
        drop(arrived);
        let sender = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(between_wakes).await;
            if let Some(sender) = sender.upgrade() {
                sender.wake(sender.arrived());
            }
        });
    }

    /// Wakes the loop, unless it took all results meanwhile.
    fn wake(&self, mut arrived: MutexGuard<'_, ArrivedResults>) {
        if !arrived.results.is_empty() {
            arrived.woken = Some(Instant::now());
            drop(arrived);
            self.waker.wake();
        }
    }

    fn arrived(&self) -> MutexGuard<'_, ArrivedResults> {
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
        let arrived = std::mem::take(&mut self.sender.arrived().results);
        if let Err(error) = runtime::log_warnings(py) {
            // The loop ends what runs in it, and takes the results then.
            self.sender.arrived().results.splice(0..0, arrived);
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
            self.sender.send(future, result, false);
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

/// The shortest time between two wake-ups of a loop for results, while more are to come.
const BETWEEN_WAKES: Duration = Duration::from_millis(1);
/// The same for results of many jobs, which one reader takes: it asks for the next when it has the last.
const BETWEEN_WAKES_FOR_JOBS: Duration = Duration::from_millis(4);
