//! [`Verdict`]: remembers how a task ended (completed or failed), so that later waits for it poll no more;
//! that a wait was over or a key refused is not remembered. The `TaskHandle` of both clients keeps one. It
//! is filled in by the `Watch` that follows the task, by a submission whose answer shows the end already,
//! and by the runs of the Python package.

use std::sync::{Arc, Mutex, PoisonError};

use effects_core::{Cause, Effect, Error};

/// The end of a task, shared by all that follow it by one handle.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Mutex<Option<Result<Effect, Error>>>>);

impl Verdict {
    /// Remembers how a run that followed the task ended, if that was the task's end.
    pub fn saw(&self, end: &Result<Effect, Error>) {
        // A wait that is over or a refused key ends the run alone: the task may be looked at again.
        let failed = |error: &Error| matches!(error.cause(), Cause::Failed(_));
        if end.as_ref().err().is_none_or(failed) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        }
    }

    /// The end, if it was seen.
    pub fn known(&self) -> Option<Result<Effect, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
