//! One row of many.

use std::sync::Arc;

use effects_core::pace::Pacer;
use effects_core::{
    Effect, EffectRequest, Entry, Error, ErrorKind, Fact, JournalError, Policy, Problem, Run,
    TaskId, Template, Time,
};

use crate::random::fresh_seed;

/// One thing to do among many: a request to submit, or a task to follow. `journal` is where its
/// entries go, `J` being the client's kind of journal.
#[derive(Clone, Debug)]
pub struct Job<J> {
    /// What to do.
    pub work: Work,
    /// Where its entries go, instead of the client's journal.
    pub journal: Option<J>,
}

/// The work of a [`Job`].
#[derive(Clone, Debug)]
pub enum Work {
    /// Submit a request and follow its task.
    Submit(EffectRequest),
    /// Follow a task submitted before.
    Watch {
        /// The task.
        task: TaskId,
        /// Its template, if known: of use to the pace alone.
        template: Option<Template>,
        /// When it was submitted, if known.
        submitted: Option<Time>,
    },
}

impl Work {
    /// Begins it: a run that shares this pacer.
    ///
    /// # Errors
    ///
    /// Those of [`fresh_seed`].
    pub fn begin(self, pacer: &Pacer, policy: Arc<Policy>, now: Time) -> Result<Run, Error> {
        let seed = fresh_seed()?;
        let run = match self {
            Self::Submit(request) => Run::submit(request, policy, seed, now),
            Self::Watch { task, template, submitted } => {
                let run = Run::attach(task, template.map(Into::into), policy, seed, now);
                match submitted {
                    Some(submitted) => run.submitted_at(submitted),
                    None => run,
                }
            }
        };
        Ok(run.paced_by(pacer))
    }

    /// The task, if there is one already.
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Submit(_) => None,
            Self::Watch { task, .. } => Some(task),
        }
    }
}

impl<J> From<EffectRequest> for Job<J> {
    fn from(request: EffectRequest) -> Self {
        Self { work: Work::Submit(request), journal: None }
    }
}

impl<J> From<TaskId> for Job<J> {
    fn from(task: TaskId) -> Self {
        Self { work: Work::Watch { task, template: None, submitted: None }, journal: None }
    }
}

/// How one job of many ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its place among the jobs, from 0.
    pub index: usize,
    /// Its effect, or what went wrong.
    pub result: Result<Effect, Error>,
}

/// The error of a run whose entry the journal did not take, with the task the entry names.
pub fn unrecorded(error: &JournalError, entry: &Entry) -> Error {
    let task_id = match &entry.fact {
        Fact::Created { task_id, .. } => Some(task_id.clone()),
        _ => None,
    };
    let (kind, message) = (ErrorKind::Journal, error.to_string());
    Problem { kind, message, task_id, trouble: None }.into()
}
