//! [`guarded`]: calls what a program gave a client (a callback, an observer, a check of photos, an iterator
//! of jobs, middleware, a journal), so that its panic ends that call alone; [`panicked`] is the error of what
//! could not be done. [`GuardedObserver`] does so for an observer of exchanges. `Settings`, `JobContext`
//! and the job drivers of both clients call through them.
//!
//! A driver follows many paid tasks: a panic that ended it would lose their ids.

use std::panic::{AssertUnwindSafe, catch_unwind};

use effects_core::gateway::{CallResult, ExchangeObserver, ObserveEnd, RequestExcerpt};
use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind};

use crate::telemetry;

/// Calls this; `None` where it panicked, which is logged. `what` is what panics then.
pub fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Option<T> {
    // What the call left half-done is its program's own.
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        telemetry::warn(&panicked(ErrorKind::Misconfigured, what).to_string());
    }
    called.ok()
}

/// The error of what could not be done since `what` panicked.
pub fn panicked(kind: ErrorKind, what: &str) -> Error {
    Error::new(kind, format!("{what} panicked, which is a fault of the program"))
}

/// The error of an entry that a journal did not take since it panicked.
pub fn panicked_journal() -> JournalError {
    JournalError::Unwritable(format!("{JOURNAL} panicked"))
}

/// An observer of a program, whose panics are logged.
pub(crate) struct GuardedObserver<O>(pub(crate) O);

impl<O: ExchangeObserver> ExchangeObserver for GuardedObserver<O> {
    fn is_watching(&self) -> bool {
        guarded(OBSERVER, || self.0.is_watching()).unwrap_or(false)
    }

    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let observe = guarded(OBSERVER, || self.0.begins(request))??;
        Some(Box::new(move |result: &CallResult| {
            guarded(OBSERVER, || observe(result));
        }))
    }
}

// What may panic, in the words of its error.

/// The journal of a program.
pub const JOURNAL: &str = "the journal";
/// What makes the exchanges.
pub const STACK: &str = "the HTTP stack or its middleware";
/// The upload of a job's photo.
pub const UPLOAD: &str = "the upload of the photo";
/// The download of a job's picture.
pub const DOWNLOAD: &str = "the download of the picture";
const OBSERVER: &str = "the observer of on_exchange";
