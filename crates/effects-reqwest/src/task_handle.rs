//! [`TaskHandle`]: a task by its id, to be polled once (`status`), followed (`events`), or waited for
//! (`wait`). [`Client::submit`](crate::Client::submit) and [`Client::task`](crate::Client::task) return it
//! to async Rust programs; the Python package's handles (`handle.rs`) hold one, and its operations follow a
//! task by it.

use std::sync::Arc;

use effects_client::{Verdict, fresh_seed};
use effects_core::driver::AsyncClock;
use effects_core::gateway::Call;
use effects_core::{Effect, Error, Retries, Task, TaskId, Template, Time};
use effects_jobs::Work;

use crate::runs::Runs;
use crate::watch::Watch;

/// A task by its id: looked at, followed, waited for; now, or in another process tomorrow.
#[derive(Clone, Debug)]
pub struct TaskHandle {
    runs: Arc<Runs>,
    id: TaskId,
    template: Option<Template>,
    submitted: Option<Time>,
    verdict: Verdict,
}

impl TaskHandle {
    pub(crate) fn new(runs: &Arc<Runs>, id: TaskId, template: Option<Template>) -> Self {
        let verdict = Verdict::default();
        Self { runs: Arc::clone(runs), id, template, submitted: None, verdict }
    }

    /// The same task, known to have been submitted at this time: what a [`Pace`](effects_core::Pace)
    /// and the grace period for a task not found reckon from.
    #[must_use]
    pub fn submitted_at(self, submitted: Time) -> Self {
        Self { submitted: Some(submitted), ..self }
    }

    /// The same task, known to have this template: a [`Pace`](effects_core::Pace) goes by what it knows of
    /// others of the template.
    #[must_use]
    pub fn of_template(self, template: Template) -> Self {
        Self { template: Some(template), ..self }
    }

    /// The same task, followed among other runs.
    pub(crate) fn with_runs(&self, runs: &Arc<Runs>) -> Self {
        Self { runs: Arc::clone(runs), ..self.clone() }
    }

    /// The same task in a child of `fork()`, followed among its runs.
    pub(crate) fn forked_with_runs(&self, runs: &Arc<Runs>) -> Self {
        Self {
            runs: Arc::clone(runs),
            id: self.id.clone(),
            template: self.template.clone(),
            submitted: self.submitted,
            verdict: self.verdict.forked(),
        }
    }

    /// Its id: keep it, and the task can be picked up again with [`Client::task`](crate::Client::task).
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Looks once, repeating only what goes wrong on the way, for at most one request time.
    ///
    /// # Errors
    ///
    /// The task is not found, the key is refused, the service cannot be reached or understood.
    pub async fn status(&self) -> Result<Task, Error> {
        let (shared, policy) = (self.runs.core().shared(), self.runs.core().policy());
        let (clock, timeout) = (&shared.clock, policy.request_timeout);
        let mut retries =
            Retries::new(policy, fresh_seed()?, clock.now()).within(timeout, clock.now());
        loop {
            let call = Call::look(self.id.clone(), timeout, clock.now())
                .with_headers(policy.headers.clone());
            let result = shared.gateway.call_async(&call).await;
            let error = match Task::read(&self.id, self.runs.core().base_url(), &result) {
                Ok(task) => return Ok(task),
                Err(error) => error,
            };
            let again = error.exchange_error().and_then(|error| retries.next(error, clock.now()));
            let Some(until) = again else {
                return Err(self.runs.core().with_resume_line(error));
            };
            clock.sleep_fully(until).await;
        }
    }

    /// Follows the task event by event. One whose end was seen is not looked at again: it has no more
    /// events.
    pub fn events(&self) -> Watch {
        Watch::new(&self.runs, self.work()).of_task(&self.verdict)
    }

    /// Waits for the task's effect, for one `wait_timeout` from now.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task.
    pub async fn wait(&self) -> Result<Effect, Error> {
        self.events().finish().await
    }

    /// How the task ended, if a call of this handle or a clone of it saw that.
    pub fn known_end(&self) -> Option<Result<Effect, Error>> {
        self.verdict.known()
    }

    /// The work of following it, for [`Client::begin`](crate::Client::begin); its end is told with
    /// [`saw_end`](Self::saw_end).
    pub fn work(&self) -> Work {
        let (task, template) = (self.id.clone(), self.template.clone());
        Work::Watch { task, template, submitted: self.submitted }
    }

    /// Remembers how a run that followed the task ended, if that was the task's end.
    pub fn saw_end(&self, end: &Result<Effect, Error>) {
        self.verdict.saw(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn a_task_in_a_fork_is_known_as_well_as_before() {
        let client = || {
            let builder = Client::builder().api_key("a-key-of-a-test");
            builder.base_url("http://127.0.0.1:1").build().unwrap()
        };
        let task = client().task("task-1".parse().unwrap());
        let task = task.of_template(Template::GlassBall).submitted_at(Time::from_millis(7));
        let effect = Effect::kept(task.id(), [], None);
        let before = task.forked(&client());
        task.saw_end(&Ok(effect.clone()));
        assert_eq!(task.forked(&client()).work(), task.work());
        assert_eq!(task.forked(&client()).known_end(), Some(Ok(effect)));
        assert_eq!(before.known_end(), None);
    }
}
