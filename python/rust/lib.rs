//! `spark_effects._native`: the Rust half of the Python package, above all the classes `engine::Engine`
//! (a client) and `operation::Operation` (one call of it). The Python classes in
//! `python/src/spark_effects` are built on it.
//!
//! An operation is made once and waited for in one of two ways: by a thread that lets go of the
//! interpreter, or by a `completion_queue::CompletionQueue` of an event loop.
//!
//! Two rules keep `fork()` harmless. What the whole process shares is kept with the process id and
//! touched only by a thread that holds the interpreter's lock. What a parent process made is forgotten
//! in a child, never dropped, since the threads that serve it are not there.

// Everything here is for the module alone.
#![allow(unreachable_pub)]

mod address;
mod call_timeout;
mod catalogue;
mod command;
mod completion_queue;
mod drawing_threads;
mod emulator;
mod engine;
mod failure;
mod file;
mod handle;
mod hooks;
mod interruptible;
mod journal;
mod loop_waker;
mod many;
mod many_shared;
mod operation;
mod photo;
mod policy;
mod process_clients;
mod profile;
mod reservation;
mod result_queue;
mod row_source;
mod run_operation;
mod runtime;
mod setup;
mod shared_budget;
mod submission;
mod submission_tracker;
mod thumbnail;
mod traces;
mod value;
mod warnings;
mod watch;

use pyo3::prelude::*;

/// The module `spark_effects._native`.
// A free-threaded interpreter need not turn its lock on for this module: every class is `frozen`
// and keeps what changes behind a mutex.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::catalogue::{errors, templates};
    #[pymodule_export]
    use super::command::command;
    #[pymodule_export]
    use super::completion_queue::CompletionQueue;
    #[pymodule_export]
    use super::emulator::Gateway;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::file::{printable, write_file, write_new_file};
    #[pymodule_export]
    use super::handle::Handle;
    #[pymodule_export]
    use super::journal::{close_journals, reopen_journals};
    #[pymodule_export]
    use super::many::Many;
    #[pymodule_export]
    use super::operation::Operation;
    #[pymodule_export]
    use super::policy::NativePolicy;
    #[pymodule_export]
    use super::profile::{profile, profile_key};
    #[pymodule_export]
    use super::submission_tracker::{
        forget_submissions, submissions_under_way, wait_for_submissions,
    };
    #[pymodule_export]
    use super::thumbnail::thumbnail;
    #[pymodule_export]
    use super::warnings::warn;
    #[pymodule_export]
    use super::watch::Events;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
