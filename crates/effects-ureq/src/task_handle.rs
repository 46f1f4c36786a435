//! A task by its id.

use std::sync::{Arc, Mutex, PoisonError};

use effects_client::fresh_seed;
use effects_core::driver::Clock;
use effects_core::gateway::Call;
use effects_core::{Effect, Error, Outcome, Retries, Task, TaskId, Template, Time};

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
    verdict: Arc<Mutex<Option<Outcome>>>,
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
    pub fn status(&self) -> Result<Task, Error> {
        let shared = self.client.shared();
        let (now, timeout) = (shared.clock.now(), self.client.policy().request_timeout);
        let mut retries =
            Retries::new(self.client.policy(), fresh_seed()?, now).within(timeout, now);
        let clock = effects_client::StoppableClock::new(shared.clock.clone(), Default::default());
        loop {
            let call = Call::look(self.id.clone(), timeout, clock.now());
            let result = shared.gateway.call(&call);
            let error = match Task::read(&self.id, self.client.base_url(), &result) {
                Ok(task) => return Ok(task),
                Err(error) => error,
            };
            let again = error.trouble().and_then(|trouble| retries.next(trouble, clock.now()));
            let Some(until) = again else {
                return Err(self.client.with_resume_line(error));
            };
            while clock.now() < until {
                clock.sleep_until(until);
            }
        }
    }

    /// Follows the task event by event. One whose end was seen is not looked at again: it has no more
    /// events.
    pub fn events(&self) -> Watch {
        Watch::attach(self, self.submitted)
    }

    /// Waits for the task's effect, for one `wait_timeout` from now.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task.
    pub fn wait(&self) -> Result<Effect, Error> {
        self.events().finish()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// The end of the task, if somebody saw it.
    pub(crate) fn verdict(&self) -> Option<Outcome> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn remember(&self, outcome: &Outcome) {
        if outcome.is_verdict() {
            let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
            *verdict = Some(outcome.clone());
        }
    }
}
