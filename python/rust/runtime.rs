//! The one thread of a process on which everything of every client runs.
//!
//! One thread is enough for ten thousand tasks, since each mostly waits, and it never asks for the
//! interpreter's lock, so that no Python code ever holds it up.

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use effects_core::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};

/// The runtime of this process, with the process it belongs to: threads do not survive `fork()`.
static RUNTIME: Mutex<Option<(u32, Handle)>> = Mutex::new(None);

/// The runtime of this process, started with the first call.
pub fn handle(_holds_the_lock: Python<'_>) -> Result<Handle, Error> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, handle)) = &*runtime
        && *owner == process
    {
        return Ok(handle.clone());
    }
    let handle = start()?;
    // A parent's handle, if there was one, leads to a thread that is not here.
    std::mem::forget(runtime.replace((process, handle.clone())));
    Ok(handle)
}

fn start() -> Result<Handle, Error> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Transport, format!("the machine has no thread to give: {why}"))
    };
    let (tell, told) = channel();
    let live = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            // The starter waits for this word.
            let _ = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(std::future::pending::<()>());
        }
        Err(error) => drop(tell.send(Err(error.to_string()))),
    };
    thread::Builder::new()
        .name("spark-effects".to_owned())
        .spawn(live)
        .map_err(|error| wrong(error.to_string()))?;
    let started = told.recv().unwrap_or_else(|_| Err("it ended at once".to_owned()));
    started.map_err(wrong)
}
