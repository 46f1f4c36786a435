//! A task by its id.

use std::sync::{Arc, Mutex, PoisonError};

use effects_client::fresh_seed;
use effects_core::driver::AsyncClock;
use effects_core::gateway::Call;
use effects_core::{Cause, Effect, Error, Retries, Task, TaskId, Template, Time};
use effects_jobs::Work;

use crate::client::Client;
use crate::watch::Watch;

/// A task by its id: looked at, followed, waited for; now, or in another process tomorrow.
#[derive(Clone, Debug)]
pub struct TaskHandle {
    client: Client,
    id: TaskId,
    template: Option<Template>,
    submitted: Option<Time>,
    /// The end of the task, once somebody saw it: nobody need look again.
    verdict: Arc<Mutex<Option<Result<Effect, Error>>>>,
}

impl TaskHandle {
    pub(crate) fn new(client: &Client, id: TaskId, template: Option<Template>) -> Self {
        let verdict = Arc::default();
        Self { client: client.clone(), id, template, submitted: None, verdict }
    }

    /// The same task, known to have been submitted at this time: what a [`Pace`](effects_core::Pace)
    /// and the grace period for a task not found reckon from.
    #[must_use]
    pub fn submitted_at(self, submitted: Time) -> Self {
        Self { submitted: Some(submitted), ..self }
    }

    /// The same task, looked at by another client: one with another policy, say.
    #[must_use]
    pub fn through(&self, client: &Client) -> Self {
        Self { client: client.clone(), ..self.clone() }
    }

    /// Its id: keep it, and the task can be picked up again with [`Client::task`].
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Looks once, repeating only what goes wrong on the way, for at most one request time.
    ///
    /// # Errors
    ///
    /// The task is not found, the key is refused, the service cannot be reached or understood.
    pub async fn status(&self) -> Result<Task, Error> {
        let (shared, policy) = (self.client.shared(), self.client.policy());
        let (clock, timeout) = (&shared.clock, policy.request_timeout);
        let mut retries =
            Retries::new(policy, fresh_seed()?, clock.now()).within(timeout, clock.now());
        loop {
            let call = Call::look(self.id.clone(), timeout, clock.now());
            let result = shared.gateway.call_async(&call).await;
            let error = match Task::read(&self.id, self.client.base_url(), &result) {
                Ok(task) => return Ok(task),
                Err(error) => error,
            };
            let again = error.trouble().and_then(|trouble| retries.next(trouble, clock.now()));
            let Some(until) = again else {
                return Err(self.client.with_resume_line(error));
            };
            clock.sleep_fully(until).await;
        }
    }

    /// Follows the task event by event. One whose end was seen is not looked at again: it has no more
    /// events.
    pub fn events(&self) -> Watch {
        Watch::of(self)
    }

    /// Waits for the task's effect, for one `wait_timeout` from now.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task.
    pub async fn wait(&self) -> Result<Effect, Error> {
        self.events().finish().await
    }

    /// How the task ended, if somebody who holds this handle or a clone of it saw that.
    pub fn known_end(&self) -> Option<Result<Effect, Error>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The work of following it, for [`Client::begin`]; its end is told with
    /// [`saw_end`](Self::saw_end).
    pub fn work(&self) -> Work {
        let (task, template) = (self.id.clone(), self.template.clone());
        Work::Watch { task, template, submitted: self.submitted }
    }

    /// Remembers how a run that followed the task ended, if that was the task's end.
    pub fn saw_end(&self, end: &Result<Effect, Error>) {
        let is_verdict =
            end.as_ref().map_or_else(|error| matches!(error.cause(), Cause::Failed(_)), |_| true);
        if is_verdict {
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}
