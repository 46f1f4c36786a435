//! [`off_thread`]: does blocking work on a thread of its own while the calling Python thread waits without
//! the interpreter's lock, logs warnings and answers Ctrl-C. `Engine::check`, `write_file` and the
//! emulator's `Gateway` call it. [`received`] is only the waiting, for work that runs elsewhere:
//! `Operation::wait`, by which the blocking client waits, calls it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::runtime;

/// Does it without the interpreter's lock. A signal ends the waiting and not the work.
pub fn off_thread<T, F>(py: Python<'_>, work: F) -> PyResult<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // With room for the one result, so that the thread ends without waiting for its caller.
    let (sender, receiver) = sync_channel(1);
    let started =
        thread::Builder::new().name("spark-effects-blocking".to_owned()).spawn(move || {
            // A caller that was interrupted has dropped the receiver.
            let _ = sender.send(work());
        });
    started.map_err(|error| {
        PyRuntimeError::new_err(format!("the machine has no thread to give: {error}"))
    })?;
    received(py, receiver)?
        .1
        .ok_or_else(|| PyRuntimeError::new_err("a thread of the package panicked: see stderr"))
}

/// Waits without the interpreter's lock for what another thread sends next, and answers signals and
/// logs warnings on the way; `None` where nothing comes any more. The receiver comes back with it.
pub fn received<T: Send>(
    py: Python<'_>,
    mut receiver: Receiver<T>,
) -> PyResult<(Receiver<T>, Option<T>)> {
    // A result that is there is taken without letting go of the interpreter's lock.
    if let Ok(received) = receiver.try_recv() {
        return Ok((receiver, Some(received)));
    }
    loop {
        let received;
        // A `Receiver` is not `Sync`, so `detach` cannot borrow it: it moves in and comes back.
        (receiver, received) = py.detach(move || {
            let received = receiver.recv_timeout(BETWEEN_SIGNALS);
            (receiver, received)
        });
        match received {
            Ok(received) => return Ok((receiver, Some(received))),
            Err(RecvTimeoutError::Timeout) => {
                runtime::log_warnings(py)?;
                py.check_signals()?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok((receiver, None)),
        }
    }
}

/// Ctrl-C is answered within this time.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(40);
