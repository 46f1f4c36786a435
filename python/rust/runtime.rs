//! [`handle`]: the tokio runtime of this process, whose one thread runs every operation of every client.
//! `Engine`, `Operation` and `CompletionQueue` get it here, and a child of `fork()` gets its own.
//! [`log_warnings`] logs what waits in its [`WarningQueue`]; threads and event loops that wait for results
//! call it, and so does the end of the process.
//!
//! One thread is enough for ten thousand tasks, since each mostly waits, and it never asks for the
//! interpreter's lock, so that no Python code ever holds it up.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use effects_core::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};

use crate::warnings::{self, WarningQueue};

/// The runtime of this process, with the process it belongs to: threads do not survive `fork()`.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

struct Runtime {
    process: u32,
    handle: Handle,
    warnings: Arc<WarningQueue>,
}

/// The runtime of this process, started with the first call.
// The argument is proof that the caller holds the interpreter's lock. A thread that forks holds it
// too, so that no child inherits this mutex locked.
pub fn handle(_holds_the_lock: Python<'_>) -> Result<Handle, Error> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(Runtime { process: owner, handle, .. }) = &*runtime
        && *owner == process
    {
        return Ok(handle.clone());
    }
    let warnings = Arc::<WarningQueue>::default();
    let handle = start(Arc::clone(&warnings))?;
    // A parent's handle, if there was one, leads to a thread that is not here.
    std::mem::forget(runtime.replace(Runtime { process, handle: handle.clone(), warnings }));
    Ok(handle)
}

/// The warnings of this process's runtime that wait to be logged.
pub fn warnings(_holds_the_lock: Python<'_>) -> Option<Arc<WarningQueue>> {
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtime.as_ref().filter(|runtime| runtime.process == std::process::id())?;
    Some(Arc::clone(&runtime.warnings))
}

/// Logs the queued warnings, and calls the queued hooks.
///
/// # Errors
///
/// A Ctrl-C that came to a hook.
pub fn log_warnings(py: Python<'_>) -> PyResult<()> {
    warnings(py).map_or(Ok(()), |waiting| waiting.log(py))
}

fn start(warnings: Arc<WarningQueue>) -> Result<Handle, Error> {
    let cannot_start = |why: String| {
        Error::new(ErrorKind::Transport, format!("the machine has no thread to give: {why}"))
    };
    let (sender, receiver) = channel();
    let serve = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            warnings::use_queue(warnings);
            // The starter waits for this word.
            let _ = sender.send(Ok(runtime.handle().clone()));
            // A current-thread runtime runs its tasks only inside `block_on`: this thread serves
            // for as long as the process lives.
            runtime.block_on(std::future::pending::<()>());
        }
        Err(error) => drop(sender.send(Err(error.to_string()))),
    };
    thread::Builder::new()
        .name("spark-effects".to_owned())
        .spawn(serve)
        .map_err(|error| cannot_start(error.to_string()))?;
    let started = receiver.recv().unwrap_or_else(|_| Err("it ended at once".to_owned()));
    started.map_err(cannot_start)
}
