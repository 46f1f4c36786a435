//! [`Verdict`]: remembers how a task ended (completed or failed), so that later waits for it poll no more;
//! that a wait was over or a key refused is not remembered. The `TaskHandle` of both clients keeps one. It
//! is filled in by the `Watch` that follows the task, by a submission whose answer shows the end already,
//! and by the runs of the Python package.

use std::sync::{Arc, OnceLock};

use effects_core::{Cause, Effect, Error};

/// The end of a task, shared by all that follow it by one handle.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<OnceLock<Result<Effect, Error>>>);

impl Verdict {
    /// Remembers how a run that followed the task ended, if that was the task's end.
    pub fn saw(&self, end: &Result<Effect, Error>) {
        // A wait that is over or a refused key ends the run alone: the task may be looked at again.
        let failed = |error: &Error| matches!(error.cause(), Cause::Failed(_));
        if end.as_ref().err().is_none_or(failed) {
            // The first end that was seen stays: a task has one.
            self.0.get_or_init(|| end.clone());
        }
    }

    /// The end, if it was seen.
    pub fn known(&self) -> Option<Result<Effect, Error>> {
        self.0.get().cloned()
    }

    /// The same in a child of `fork()`, on its own: a thread that was about to note an end in the parent is
    /// not there to do it.
    #[must_use]
    pub fn forked(&self) -> Self {
        let known = self.known().map_or_else(OnceLock::new, OnceLock::from);
        Self(Arc::new(known))
    }
}

#[cfg(test)]
mod tests {
    use effects_core::ErrorKind;

    use super::*;

    #[test]
    fn a_fork_knows_the_end_that_was_seen_and_keeps_its_own() {
        let effect = Effect::kept(&"task-1".parse().unwrap(), [], None);
        let (open, seen) = (Verdict::default(), Verdict::default());
        open.saw(&Err(Error::new(ErrorKind::WaitTimeout, "the wait is over")));
        assert_eq!(open.known(), None);
        seen.saw(&Ok(effect.clone()));
        let (child_of_open, child_of_seen) = (open.forked(), seen.forked());
        assert_eq!(child_of_seen.known(), Some(Ok(effect.clone())));
        child_of_open.saw(&Ok(effect.clone()));
        assert_eq!((child_of_open.known(), open.known()), (Some(Ok(effect)), None));
    }
}
